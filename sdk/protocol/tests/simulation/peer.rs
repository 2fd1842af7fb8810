//! A connection as its server process keeps it.

use crate::coverage::Sight;
use crate::scene::Scene;
use crate::tokens::Token;
use readywire_protocol::frame::{Resume, Send};
use readywire_protocol::server::{ServerConnection, Sessions};
use std::collections::BTreeMap;

/// The session that a connection holds.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: String,
    /// Whether the client has shown that it has the new token.
    pub(crate) confirmed: bool,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) core: ServerConnection,
    pub(crate) link: usize,
    pub(crate) process: usize,
    /// The token in force, if it is a good one.
    pub(crate) token: Option<Token>,
    /// The topics that it follows, and the epoch that it knows of each.
    pub(crate) follows: BTreeMap<String, u64>,
    pub(crate) resume: Option<Resume>,
    /// It waits for services.
    pub(crate) starting: bool,
    pub(crate) held: Option<Held>,
    /// Sends that the application has not looked at yet.
    pub(crate) to_decide: Vec<Send>,
    /// Streams among them that are not wanted any more.
    pub(crate) cancels: Vec<u64>,
    /// A send that comes a second time.
    pub(crate) echo: Option<String>,
    pub(crate) echoing: bool,
    pub(crate) closed: bool,
}

impl Peer {
    pub(crate) fn new(core: ServerConnection, link: usize, process: usize) -> Self {
        Self {
            core,
            link,
            process,
            token: None,
            follows: BTreeMap::new(),
            resume: None,
            starting: false,
            held: None,
            to_decide: Vec::new(),
            cancels: Vec::new(),
            echo: None,
            echoing: false,
            closed: false,
        }
    }

    pub(crate) fn subject(&self) -> Option<String> {
        self.token.as_ref().map(|token| token.subject.clone())
    }

    /// Hands over what waits in the inbox and fits into the client's window; gives the questions among it.
    pub(crate) fn deliver(&mut self, scene: &mut Scene, sessions: &Sessions, owner: u64) -> Vec<u64> {
        let mut questions = Vec::new();
        let Some(held) = &self.held else { return questions };
        let mut rounds = 0;
        while let Some((after, room)) = self.core.inbox_room() {
            let messages = sessions.read(&held.id, owner, after, room);
            if messages.is_empty() {
                return questions;
            }
            rounds += 1;
            scene
                .watch
                .require(rounds < 1_000, "what was read from the inbox is delivered", || format!("{messages:?}"));
            if rounds >= 1_000 {
                return questions;
            }
            questions.extend(messages.iter().filter(|message| message.asks).map(|message| message.offset));
            messages.into_iter().for_each(|message| self.core.deliver(message));
        }
        scene.watch.saw(Sight::InboxWindowFull);
        questions
    }
}
