use crate::application::{Answer, Failure, Handler, Request, payload};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};

/// A direct message to a user's sessions.
#[derive(Clone, Copy, Debug)]
pub struct Notify;

#[derive(Deserialize)]
struct Direct {
    subject: String,
    text: String,
}

#[derive(Serialize)]
struct Notification<'a> {
    from: &'a str,
    text: &'a str,
}

#[derive(Serialize)]
struct Reached {
    sessions: usize,
}

impl Handler for Notify {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Direct { subject, text } = request.read()?;
            let notification = payload(&Notification { from: &request.subject, text: &text })?;
            let sessions = request.room.to_subject(&subject, "notification", &notification).await?;
            answer.end(&request.event, &Reached { sessions }).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use crate::handlers::recorder::Recorder;

    #[tokio::test]
    async fn it_reaches_one_subject_and_tells_how_many_sessions() {
        let recorder = Recorder::default();
        recorder.run(super::Notify, "notify", r#"{"subject": "bob", "text": "lunch?"}"#).await;
        let sent = recorder.sent();
        assert_eq!((sent[0].0.as_str(), sent[0].1.as_str()), ("bob", "notification"));
        assert_eq!(sent[0].2, r#"{"from":"alice","text":"lunch?"}"#);
        assert_eq!(recorder.parts()[0].payload.text(), Some(r#"{"sessions":1}"#));
    }
}
