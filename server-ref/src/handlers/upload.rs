//! A file that comes in parts: to see a stream of the client at work, and that nothing of it is lost or doubled.

use super::pace::{SLOWEST, pause};
use crate::application::{Answer, Failure, Handler, Request};
use futures::FutureExt;
use futures::future::BoxFuture;
use ring::digest::{Context, SHA256};
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// Reads bytes, keeps none of them, and tells by `received` how far it is; in the end by `uploaded` how many they were, and
/// their digest.
#[derive(Clone, Copy, Debug)]
pub struct Upload;

#[derive(Deserialize)]
struct Announced {
    /// How many are to come: what is told on the way is told for each percent of that.
    bytes: u64,
    /// The pause behind each part, so that a person can follow it.
    #[serde(default)]
    pace_ms: u64,
}

impl Handler for Upload {
    fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let announced: Announced = request.read()?;
            let pace = Duration::from_millis(announced.pace_ms).min(SLOWEST);
            let mut digest = Context::new(&SHA256);
            let (mut bytes, mut told) = (0, 0);
            while let Some(part) = request.parts.next().await {
                let part = part?;
                let read = part.bytes().ok_or_else(|| Failure::new("bad_payload", "upload: bytes are wanted"))?;
                digest.update(read);
                bytes += part.size();
                let percent = bytes.saturating_mul(100) / announced.bytes.max(1);
                if percent > told {
                    told = percent;
                    answer.send("received", &json!({ "bytes": bytes })).await?;
                }
                if !pace.is_zero() {
                    pause(answer, pace).await?;
                }
            }
            let digest = digest.finish();
            let sha256: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            answer.end("uploaded", &json!({ "bytes": bytes, "sha256": sha256 })).await
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::recorder::Recorder;
    use readywire_protocol::json::Payload;

    async fn told(parts: Vec<Payload>, announced: &str) -> Vec<(String, String)> {
        let recorder = Recorder::bringing(parts);
        recorder.run(Upload, "upload", announced).await;
        let text = |payload: &Payload| payload.text().unwrap().to_owned();
        recorder.parts().iter().map(|part| (part.event.clone(), text(&part.payload))).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_tells_how_far_it_is_and_in_the_end_the_digest() {
        let parts = vec![Payload::from(b"ab".to_vec()), Payload::from(Vec::new()), Payload::from(b"c".to_vec())];
        let told = told(parts, r#"{"bytes": 3, "pace_ms": 1000000}"#).await;
        // As `printf abc | sha256sum` prints it.
        let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let expected = [
            ("received", r#"{"bytes":2}"#.to_owned()),
            ("received", r#"{"bytes":3}"#.to_owned()),
            ("uploaded", format!(r#"{{"bytes":3,"sha256":"{sha256}"}}"#)),
        ];
        assert_eq!(told, expected.map(|(event, payload)| (event.to_owned(), payload)));
    }

    #[tokio::test]
    async fn more_than_was_announced_is_read_all_the_same() {
        let told = told(vec![Payload::from(vec![7; 10]), Payload::from(vec![7; 10])], r#"{"bytes": 0}"#).await;
        assert!(told.last().unwrap().1.contains(r#""bytes":20"#), "{told:?}");
    }

    #[tokio::test]
    async fn what_is_no_bytes_is_no_file() {
        let recorder = Recorder::bringing(vec![Payload::parse("{}").unwrap()]);
        recorder.run(Upload, "upload", r#"{"bytes": 2}"#).await;
        assert_eq!(recorder.parts().pop().unwrap().error.unwrap().code, "bad_payload");
    }
}
