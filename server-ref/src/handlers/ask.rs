//! A question to whoever sends this: to see one asked and answered.

use crate::application::{Answer, Failure, Handler, Request, Unanswered};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

/// Asks by `confirm` what the message wants, for `deadline_ms` or a minute. Answers by `answered`, with the answer as it is, or by
/// `unanswered`, with the code of why there is none.
pub struct Ask;

#[derive(Deserialize)]
struct Wanted {
    payload: Box<RawValue>,
    #[serde(default = "a_minute")]
    deadline_ms: u64,
}

fn a_minute() -> u64 {
    60_000
}

#[derive(Serialize)]
struct Reason {
    code: String,
}

impl Handler for Ask {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Wanted { payload, deadline_ms } = request.read()?;
            let question =
                Payload::parse(payload.get()).map_err(|error| Failure::new("bad_payload", error.to_string()))?;
            let code = match request.ask("confirm", &question, Duration::from_millis(deadline_ms)).await {
                Ok(payload) => return answer.part("answered", payload, true).await,
                Err(Unanswered::Deadline) => "deadline".to_owned(),
                Err(Unanswered::Unsupported) => "unsupported".to_owned(),
                Err(Unanswered::Refused { code, .. }) => code,
                Err(other) => return Err(other.into()),
            };
            answer.end("unanswered", &Reason { code }).await
        }
        .boxed()
    }
}
