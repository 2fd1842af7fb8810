use crate::application::{Answer, Failure, Handler, Request};
use futures::FutureExt;
use futures::future::BoxFuture;

/// Answers with the payload.
#[derive(Clone, Copy, Debug)]
pub struct Echo;

impl Handler for Echo {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move { answer.part(&request.event, request.payload, true).await }.boxed()
    }
}

#[cfg(test)]
mod tests {
    use crate::handlers::recorder::Recorder;

    #[tokio::test]
    async fn the_payload_comes_back_as_it_was() {
        let recorder = Recorder::default();
        recorder.run(super::Echo, "echo", r#"{"a": 1.50}"#).await;
        let parts = recorder.parts();
        assert_eq!(parts.len(), 1);
        assert_eq!(parts[0].payload.text(), Some(r#"{"a": 1.50}"#));
        assert!(parts[0].end);
    }
}
