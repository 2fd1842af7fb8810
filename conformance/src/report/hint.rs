//! What a failure is likely to come from, where many come from the same.

use crate::case::Case;
use crate::log::{Line, Origin};
use crate::verdict::Judged;
use readywire_protocol::clause::Side;
use serde_json::Value;

/// A cause that several failures share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hint {
    /// The peer closed with 1011.
    Crashed(Side),
    /// The server does not know an event of the contract.
    UnknownEvent(String),
}

impl Hint {
    /// The cause of a failure, if it looks like one of these.
    pub fn of(judged: &Judged) -> Option<Self> {
        let played = judged.played.as_ref()?;
        let last = played.lines.iter().rev().find(|line| line.origin == Origin::Peer);
        if last.is_some_and(|line| line.text.starts_with("(close 1011")) && played.step.is_some() {
            return Some(Self::Crashed(judged.case.side));
        }
        let step = played.step.is_some() && judged.case.side == Side::Server;
        step.then(|| unknown_event(&judged.case, &played.lines)).flatten().map(Self::UnknownEvent)
    }

    /// What to do about it.
    pub fn text(&self) -> String {
        match self {
            Self::Crashed(Side::Client) => {
                "1011 is how many libraries close when code of the client has thrown: look for that in what the testee \
                 writes to its standard error"
                    .to_owned()
            }
            Self::Crashed(_) => {
                "1011 is how many libraries close when a handler has thrown: look for that in the server's log, which \
                 --server-log shows"
                    .to_owned()
            }
            Self::UnknownEvent(event) if event == "echo" => {
                "the suite needs the event `echo`: let the tested application answer it (CERTIFY_SERVER.md, Events)"
                    .to_owned()
            }
            Self::UnknownEvent(event) => format!(
                "the server does not know the event `{event}`: let the tested application handle it (CERTIFY_SERVER.md, \
                 Events), or declare that it is lacking by --lacks {event}"
            ),
        }
    }
}

/// The event of the contract that the server refused as unknown, though the case counts on it.
fn unknown_event(case: &Case, lines: &[Line]) -> Option<String> {
    let frames = |origin: Origin, kind: &'static str| {
        let lines = lines.iter().filter(move |line| line.origin == origin);
        let frames = lines.filter_map(|line| Some((&line.connection, serde_json::from_str::<Value>(&line.text).ok()?)));
        frames.filter(move |(_, frame)| frame["type"] == kind)
    };
    let (connection, nack) = frames(Origin::Peer, "nack").find(|(_, nack)| nack["code"] == "unknown_event")?;
    let mut sends =
        frames(Origin::Suite, "send").filter(|(name, send)| *name == connection && send["id"] == nack["id"]);
    let event = sends.find_map(|(_, send)| send["event"].as_str().map(str::to_owned))?;
    // `echo` is what every server has to have, and no case says that it needs it.
    (event == "echo" || case.requires.contains(&event)).then_some(event)
}
