//! A stream that comes back: to see one at work, and to measure it.

use crate::application::{Answer, Failure, Handler, Request};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use std::time::Duration;

/// Sends each part of the stream that a message opens back as `part`, as it is, one every `pace_ms`; and ends when that ends.
pub struct Relay;

#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    pace_ms: u64,
}

impl Handler for Relay {
    fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Wanted { pace_ms } = request.read()?;
            while let Some(part) = request.parts.next().await {
                answer.part("part", part?, false).await?;
                if pace_ms > 0 {
                    let stop = answer.cancellation().clone();
                    let pause = tokio::time::sleep(Duration::from_millis(pace_ms));
                    stop.run_until_cancelled(pause).await.ok_or_else(Failure::cancelled)?;
                }
            }
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::recorder::Recorder;
    use readywire_protocol::json::Payload;

    #[tokio::test]
    async fn every_part_comes_back_as_it_was_and_then_the_end() {
        let bytes = Payload::from(vec![0, 255]);
        let recorder = Recorder::bringing(vec![Payload::parse("{\"a\":1}").unwrap(), bytes.clone()]);
        recorder.run(Relay, "relay", "{}").await;
        let parts = recorder.parts();
        let told: Vec<_> = parts.iter().map(|part| (part.event.as_str(), part.payload.clone(), part.end)).collect();
        let json = Payload::parse("{\"a\":1}").unwrap();
        assert_eq!(told, [("part", json, false), ("part", bytes, false), ("", Payload::null(), true)]);
        assert!(parts.iter().all(|part| part.error.is_none()));
    }
}
