//! The server's application: what it does with the messages that were taken.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::scene::{Chore, Happening, Scene};
use readywire_protocol::frame::{AnswerError, ClientFrame, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{AppendError, SessionMessage};
use std::collections::BTreeMap;

/// An answer in the making.
#[derive(Clone, Debug)]
struct Work {
    handle: u64,
    event: String,
    written: u64,
    parts: u64,
    pace: u64,
    /// Why it stops before its end.
    stopped: Option<&'static str>,
}

/// Every answer in the making, by session and send.
#[derive(Clone, Debug, Default)]
pub(crate) struct Works {
    running: BTreeMap<(String, u64), Work>,
    last: BTreeMap<String, Send>,
}

impl Works {
    /// The last send of a session that was decided, as it was on the wire.
    pub(crate) fn last_send(&self, session: &str) -> Option<String> {
        self.last.get(session).map(|send| ClientFrame::Send(send.clone()).encode())
    }

    pub(crate) fn highest(&self, session: &str) -> u64 {
        self.last.get(session).map_or(0, |send| send.id)
    }

    pub(crate) fn decided(&mut self, session: &str, send: &Send) {
        if send.id > self.highest(session) {
            self.last.insert(session.to_owned(), send.clone());
        }
    }

    /// The client asks to stop; what is over, or never was, is left alone.
    pub(crate) fn cancel(&mut self, session: &str, id: u64) {
        if let Some(work) = self.running.get_mut(&(session.to_owned(), id)) {
            work.stopped.get_or_insert("cancelled");
        }
    }

    pub(crate) fn runs(&self, session: &str, id: u64) -> bool {
        self.running.contains_key(&(session.to_owned(), id))
    }

    pub(crate) fn is_stopped(&self, session: &str, id: u64) -> bool {
        self.running.get(&(session.to_owned(), id)).is_some_and(|work| work.stopped.is_some())
    }

    pub(crate) fn forget(&mut self, session: &str, id: u64) {
        self.running.remove(&(session.to_owned(), id));
    }

    /// Some of what ran in a process that died is not taken up again.
    pub(crate) fn interrupt(&mut self, scene: &mut Scene) {
        for work in self.running.values_mut() {
            if scene.random.chance(30) {
                work.stopped.get_or_insert("interrupted");
            }
        }
    }
}

impl Cluster {
    /// A send was taken: processes it. The work outlives the connection.
    pub(crate) fn begin_work(&mut self, scene: &mut Scene, session: &str, send: &Send, handle: u64) {
        let fails = send.event == "fails" && scene.random.chance(50);
        if !send.answer && !fails {
            return;
        }
        // Who reads a stream says nothing before its end.
        let parts = if send.stream { 0 } else { scene.random.between(0, 5) };
        let pace = *scene.random.pick(&[0, 10, 200, 2_000]);
        let stopped = fails.then_some("failed");
        let event = send.event.clone();
        let work = Work { handle, event, written: 0, parts, pace, stopped };
        self.works.running.insert((session.to_owned(), send.id), work);
        if send.stream {
            return;
        }
        let first = scene.random.millis(0, pace);
        scene.later(first, Happening::Server(Chore::Work { session: session.to_owned(), id: send.id }));
    }

    /// The next part of an answer.
    pub(crate) fn work(&mut self, scene: &mut Scene, session: &str, id: u64) {
        let key = (session.to_owned(), id);
        let Some(work) = self.works.running.get(&key).cloned() else { return };
        let mut pace = work.pace.max(20);
        let end = work.stopped.is_some() || work.written == work.parts;
        let text = format!(r#"{{"send":{},"part":{}}}"#, work.handle, work.written);
        let message = SessionMessage {
            event: work.event.clone(),
            payload: Payload::parse(&text).unwrap_or_else(|_| Payload::null()),
            re: Some(id),
            end,
            error: work.stopped.map(|code| AnswerError { code: code.to_owned(), message: String::new() }),
            asks: false,
        };
        self.sessions.expire(scene.now);
        let detached = self.sessions.owner(session).is_none();
        match self.sessions.append(session, message) {
            Ok(_) => {
                if detached {
                    scene.watch.saw(Sight::WorkOutlived);
                }
                self.stir(session);
                if end {
                    self.works.running.remove(&key);
                    return;
                }
                if let Some(work) = self.works.running.get_mut(&key) {
                    work.written += 1;
                }
            }
            Err(AppendError::Full) => {
                scene.watch.saw(Sight::InboxFull);
                pace = 300;
            }
            // Nobody is left to read it.
            Err(AppendError::Ended) => {
                self.works.running.remove(&key);
                return;
            }
        }
        let next = scene.random.millis(pace / 2, pace);
        scene.later(next, Happening::Server(Chore::Work { session: session.to_owned(), id }));
    }

    /// A message that answers nothing.
    pub(crate) fn send_note(&mut self, scene: &mut Scene, session: &str, number: u64) {
        let padding = "x".repeat(*scene.random.pick(&[0, 50, 300]));
        let text = format!(r#"{{"note":{number},"padding":"{padding}"}}"#);
        let payload = Payload::parse(&text).unwrap_or_else(|_| Payload::null());
        let message =
            SessionMessage { event: "note".to_owned(), payload, re: None, end: false, error: None, asks: false };
        if let Ok(offset) = self.sessions.append(session, message) {
            scene.watch.note_appended(session, offset, &text);
            self.stir(session);
            self.look_around(scene);
        }
    }
}
