use crate::application::{Answer, Failure, Handler, Request, payload};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::{SystemTime, UNIX_EPOCH};

/// Passes a line on to everybody, the sender included.
#[derive(Clone, Copy, Debug)]
pub struct Chat;

#[derive(Deserialize)]
struct Line {
    text: String,
}

#[derive(Serialize)]
struct Said {
    from: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

impl Handler for Chat {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Line { text } = request.read()?;
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let said = Said { from: request.subject.clone(), text, at: u64::try_from(at).unwrap_or(u64::MAX) };
            request.room.to_everyone(&request.event, &payload(&said)?).await?;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use crate::handlers::recorder::Recorder;

    #[tokio::test]
    async fn a_line_goes_to_everyone() {
        let recorder = Recorder::default();
        recorder.run(super::Chat, "chat.message", r#"{"text": "good morning"}"#).await;
        let sent = recorder.sent();
        assert_eq!((sent[0].0.as_str(), sent[0].1.as_str()), ("*", "chat.message"));
        assert!(sent[0].2.contains(r#""from":"alice","text":"good morning""#), "{}", sent[0].2);
    }

    #[tokio::test]
    async fn a_line_without_text_fails_by_name() {
        let recorder = Recorder::default();
        recorder.run(super::Chat, "chat.message", "{}").await;
        assert_eq!(recorder.parts()[0].error.as_ref().unwrap().code, "bad_payload");
        assert!(recorder.sent().is_empty());
    }
}
