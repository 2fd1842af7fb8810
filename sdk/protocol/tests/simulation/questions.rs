//! Questions: a server's application that asks and does not wait for ever, and a client's that answers when and as it likes.

use crate::asked::Told;
use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::device::Device;
use crate::ledger::tag;
use crate::peer::Peer;
use crate::plan::Action;
use crate::scene::{Chore, Happening, Scene};
use readywire_protocol::frame::{AnswerError, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use std::collections::{BTreeMap, BTreeSet};

/// Handles of answers begin here, behind those of all that is sent.
pub(crate) const REPLIES: u64 = 1_000_000;

/// A question in the log that the servers share.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    number: u64,
    /// Somebody waits for its answer.
    open: bool,
    /// Nobody does any more, and nothing answered it.
    withdrawn: bool,
}

/// By session and offset.
pub(crate) type Questions = BTreeMap<(String, u64), Question>;

impl Cluster {
    /// Somebody asks a session, and waits for a while.
    pub(crate) fn ask(&mut self, scene: &mut Scene, session: &str) {
        self.notes += 1;
        let number = self.notes;
        let text = format!(r#"{{"question":{number}}}"#);
        let payload = Payload::parse(&text).unwrap_or_else(|_| Payload::null());
        let message =
            SessionMessage { event: "confirm".to_owned(), payload, re: None, end: false, error: None, asks: true };
        // An inbox that is full is asked by nobody here.
        let Ok(offset) = self.sessions.append(session, message) else { return };
        self.questions.insert((session.to_owned(), offset), Question { number, open: true, withdrawn: false });
        scene.watch.asks(number, session, offset);
        let longest = *scene.random.pick(&[200, 3_000, 30_000, 30_000]);
        let patience = scene.random.millis(0, longest);
        scene.later(patience, Happening::Server(Chore::GiveUp { session: session.to_owned(), offset }));
        self.stir(session);
        self.look_around(scene);
    }

    /// Whoever asked waits no longer.
    pub(crate) fn give_up(&mut self, scene: &mut Scene, session: &str, offset: u64) {
        self.sessions.expire(scene.now);
        self.lose_questions(scene);
        let Some(question) = self.questions.get_mut(&(session.to_owned(), offset)).filter(|known| known.open) else {
            return;
        };
        (question.open, question.withdrawn) = (false, true);
        scene.watch.asker_told(question.number, Told::GaveUp);
        // A former connection hears of it, too, if it is still there.
        for owner in self.owners(|peer| peer.held.as_ref().is_some_and(|held| held.id == session)) {
            self.with(scene, owner, |_, _, peer| peer.core.withdraw(offset));
        }
    }

    /// Whoever asked a session that has ended is told.
    pub(crate) fn lose_questions(&mut self, scene: &mut Scene) {
        let alive: BTreeSet<&str> = self.sessions.ids().collect();
        self.questions.retain(|(session, _), question| {
            let lost = !alive.contains(session.as_str());
            if lost && question.open {
                scene.watch.asker_told(question.number, Told::Gone);
            }
            !lost
        });
    }

    /// A question was delivered, unless it has to wait for room; nobody may wait for its answer any more.
    pub(crate) fn question_delivered(&mut self, scene: &mut Scene, peer: &mut Peer, offset: u64) {
        let Some(held) = &peer.held else { return };
        let key = (held.id.clone(), offset);
        if !peer.core.answers_questions() {
            self.unsupported(scene, &key);
        } else if !self.questions.get(&key).is_some_and(|question| question.open) {
            peer.core.withdraw(offset);
        }
    }

    /// What the client of a resumed session may not have heard (clause `question.withdrawn`).
    pub(crate) fn resume_questions(&mut self, scene: &mut Scene, peer: &mut Peer, session: &str, inbox: u64) {
        let theirs: Vec<_> = self.questions.keys().filter(|(of, _)| of == session).cloned().collect();
        for key in theirs {
            if !peer.core.answers_questions() {
                self.unsupported(scene, &key);
            } else if key.1 <= inbox && self.questions.get(&key).is_some_and(|question| question.withdrawn) {
                scene.watch.saw(Sight::WithdrawnAtResume);
                peer.core.withdraw(key.1);
            }
        }
    }

    fn unsupported(&mut self, scene: &mut Scene, key: &(String, u64)) {
        let Some(question) = self.questions.get_mut(key).filter(|question| question.open) else { return };
        (question.open, question.withdrawn) = (false, true);
        scene.watch.asker_told(question.number, Told::Unsupported);
    }

    /// What speaks against taking this answer.
    pub(crate) fn judge_answer(&self, session: &str, send: &Send) -> Option<&'static str> {
        let open = self.questions.get(&(session.to_owned(), send.re?)).is_some_and(|question| question.open);
        (!open).then_some("not_asked")
    }

    /// An answer was taken: whoever asked is told.
    pub(crate) fn take_answer(&mut self, scene: &mut Scene, session: &str, send: &Send) {
        let Some(re) = send.re else { return };
        let Some(question) = self.questions.get_mut(&(session.to_owned(), re)) else { return };
        question.open = false;
        let told = match (reply_of(send), &send.error) {
            (Some(handle), _) => Told::Answered(handle),
            (None, error) => Told::Failed(error.as_ref().map_or_else(String::new, |error| error.code.clone())),
        };
        scene.watch.asker_told(question.number, told);
    }
}

/// The handle under which the application gave this answer; none if the client gave it by itself.
pub(crate) fn reply_of(send: &Send) -> Option<u64> {
    let text = send.error.as_ref().map_or(send.payload.text().unwrap_or_default(), |error| error.message.as_str());
    tag(text, "reply")
}

/// How the application answers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Manner {
    /// With a payload that is so much larger than it has to be.
    Payload(usize),
    /// With why there is no answer.
    Error,
}

impl Device {
    /// The server asks: the application answers, now or later, twice, or never.
    pub(crate) fn asked(&mut self, scene: &mut Scene, question: u64) {
        if scene.random.chance(10) {
            // Nothing here answers this event.
            scene.watch.unhandled(question);
            return self.client.unhandled(scene.now, question);
        }
        let answers = *scene.random.pick(&[0, 1, 1, 1, 1, 1, 2]);
        for _ in 0..answers {
            let manner = match scene.random.between(0, 9) {
                0 | 1 => Manner::Error,
                2 => Manner::Payload(900),
                _ => Manner::Payload(*scene.random.pick(&[0, 0, 20, 300])),
            };
            let longest = *scene.random.pick(&[0, 0, 50, 3_000, 20_000]);
            let action = Action::Answer { page: self.pages.earlier, question, manner };
            if longest == 0 {
                self.act(scene, action);
            } else {
                let late = scene.random.millis(0, longest);
                scene.later(late, Happening::Act(action));
            }
        }
    }

    pub(crate) fn answer(&mut self, scene: &mut Scene, question: u64, manner: Manner) {
        self.replies += 1;
        let handle = REPLIES + self.replies;
        let large = matches!(manner, Manner::Payload(padding) if padding > 0);
        scene.watch.replies(question, handle, large);
        let answer = match manner {
            Manner::Payload(padding) => {
                let text = format!(r#"{{"reply":{handle},"padding":"{}"}}"#, "x".repeat(padding));
                Ok(Payload::parse(&text).unwrap_or_else(|_| Payload::null()))
            }
            Manner::Error => {
                Err(AnswerError { code: "denied".to_owned(), message: format!(r#"{{"reply":{handle}}}"#) })
            }
        };
        self.client.answer(scene.now, handle, question, answer);
    }
}
