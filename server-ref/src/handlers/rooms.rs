use crate::application::{Answer, Failure, Handler, Rejection, Request, payload};
use crate::log::Retention;
use crate::topics::{TopicPolicy, forbidden};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The topics `room/…` and `board/…`: everybody may follow them. In a room nobody publishes but [`Say`], so that who said
/// something is who the token says; on a board everybody may, JSON or bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rooms;

/// The longest name of a room, in bytes.
const NAME_BYTES: usize = 64;

impl TopicPolicy for Rooms {
    fn may_subscribe(&self, _: &str, topic: &str) -> Result<(), Rejection> {
        let name = topic.strip_prefix("room/").or(topic.strip_prefix("board/"));
        if name.is_some_and(is_name) { Ok(()) } else { Err(forbidden()) }
    }

    fn may_publish(&self, _: &str, topic: &str, _: &str, _: &Payload) -> Result<(), Rejection> {
        if topic.strip_prefix("board/").is_some_and(is_name) { Ok(()) } else { Err(forbidden()) }
    }

    fn retention(&self, _: &str) -> Retention {
        let window = Window { messages: 200, bytes: 256 << 10 };
        Retention { window, age: Duration::from_secs(3600) }
    }
}

/// Says a line in a room.
#[derive(Clone, Copy, Debug)]
pub struct Say;

#[derive(Deserialize)]
struct Line {
    #[serde(default = "lobby")]
    room: String,
    text: String,
}

fn lobby() -> String {
    "lobby".to_owned()
}

fn is_name(room: &str) -> bool {
    !room.is_empty() && room.len() <= NAME_BYTES
}

#[derive(Serialize)]
struct Said {
    from: String,
    text: String,
    /// Milliseconds since 1970.
    at: u64,
}

impl Handler for Say {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let Line { room, text } = request.read()?;
            if !is_name(&room) {
                return Err(Failure::new("bad_payload", "the name of a room has 1 to 64 bytes"));
            }
            let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
            let said = Said { from: request.subject.clone(), text, at: u64::try_from(at).unwrap_or(u64::MAX) };
            request.room.publish(&format!("room/{room}"), "chat.said", &payload(&said)?).await?;
            Ok(())
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::recorder::Recorder;

    #[tokio::test]
    async fn a_line_is_published_under_the_name_of_the_token() {
        let recorder = Recorder::default();
        recorder.run(Say, "chat.say", r#"{"text": "good morning"}"#).await;
        recorder.run(Say, "chat.say", r#"{"room": "7", "text": "hello", "from": "mallory"}"#).await;
        let sent = recorder.sent();
        assert_eq!((sent[0].0.as_str(), sent[0].1.as_str()), ("room/lobby", "chat.said"));
        assert!(sent[0].2.contains(r#""from":"alice","text":"good morning""#), "{}", sent[0].2);
        assert_eq!(sent[1].0, "room/7");
        assert!(sent[1].2.contains(r#""from":"alice""#), "{}", sent[1].2);
    }

    #[tokio::test]
    async fn a_room_without_a_name_is_none() {
        let recorder = Recorder::default();
        recorder.run(Say, "chat.say", r#"{"room": "", "text": "hello"}"#).await;
        assert_eq!(recorder.parts()[0].error.as_ref().unwrap().code, "bad_payload");
        assert!(recorder.sent().is_empty());
        assert!(Rooms.may_subscribe("alice", "room/").is_err());
        assert!(Rooms.may_subscribe("alice", "secrets").is_err());
        assert!(Rooms.may_subscribe("alice", "room/lobby").is_ok());
    }

    #[test]
    fn boards_are_everybodys_and_rooms_are_not() {
        let may = |topic| Rooms.may_publish("alice", topic, "e", &Payload::null()).is_ok();
        assert!(may("board/7") && Rooms.may_subscribe("bob", "board/7").is_ok());
        assert!(!may("board/") && !may("room/7") && !may("secrets"));
    }
}
