//! What a client says, and what goes out for it.

use super::topics::Wish;
use super::*;
use crate::close::Class;
use crate::frame::{Bye, ClientFrame};
use crate::{HELLO_ENTRY_BYTES, base64url};

/// The longest key of a send (clause `send.key`).
const MAX_KEY_BYTES: usize = 64;

impl ServerConnection {
    pub(super) fn heard(&mut self) {
        self.dead_at = None;
    }

    pub(super) fn message(&mut self, now: Instant, text: &str) -> Result<(), PeerMisbehaved> {
        let bytes = text.len() as u64;
        self.within_limit(bytes)?;
        if self.stage == Stage::Accepted {
            self.early_frames += 1;
            self.early_bytes += text.len() as u64;
            if self.early_frames > self.config.preauth_frames || self.early_bytes > self.config.preauth_bytes {
                return Err(PeerMisbehaved::new(Clause::PreauthLimits, "too much before AUTHENTICATED"));
            }
        }
        let frame = ClientFrame::decode(text)?;
        self.frame(now, frame, bytes)
    }

    pub(super) fn binary(&mut self, now: Instant, message: Vec<u8>) -> Result<(), PeerMisbehaved> {
        let bytes = message.len() as u64;
        self.within_limit(bytes)?;
        if !self.stage.is_ready() || !self.agreed(BINARY) {
            return Err(PeerMisbehaved::new(Clause::FrameText, "a binary message, which nobody agreed to"));
        }
        self.frame(now, ClientFrame::decode_binary(message)?, bytes)
    }

    fn within_limit(&self, bytes: u64) -> Result<(), PeerMisbehaved> {
        if bytes <= self.config.max_message_bytes {
            return Ok(());
        }
        Err(PeerMisbehaved::new(Clause::FrameSize, "a message over `max_message_bytes`"))
    }

    fn frame(&mut self, now: Instant, frame: ClientFrame, bytes: u64) -> Result<(), PeerMisbehaved> {
        match frame {
            ClientFrame::Ping { nonce } => self.write(&ServerFrame::Pong { nonce }),
            ClientFrame::Pong { .. } => {}
            ClientFrame::Bye(bye) => {
                let code = u16::try_from(bye.code).unwrap_or(1006);
                self.transmits.push_back(Transmit::Close { code: sendable(code), reason: String::new() });
                self.closed(code, bye.reason, None, code == close::NORMAL);
            }
            ClientFrame::Hello(_) if self.greeted => {
                return Err(PeerMisbehaved::new(Clause::HelloOnce, "a second hello"));
            }
            ClientFrame::Hello(hello) => self.hello(*hello),
            ClientFrame::Subscribe { topic, offset, epoch, last } if self.greeted => {
                let last = last.filter(|_| offset.is_none()).unwrap_or(0);
                return self.topic(Wish::Subscribe { topic, offset, epoch, last });
            }
            ClientFrame::Unsubscribe { topic } if self.greeted => return self.topic(Wish::Unsubscribe { topic }),
            _ if !self.stage.is_ready() => {
                let found = format!("an application frame at {}, before `ready`", self.stage);
                return Err(PeerMisbehaved::new(Clause::ReadyGate, found));
            }
            ClientFrame::Send(send) => return self.send(send, bytes),
            ClientFrame::Taken { offset, topic: None } if self.agreed(RESUME) => return self.taken(now, offset),
            ClientFrame::Cancel { re } if self.agreed(ANSWERS) => self.events.push_back(ServerEvent::Cancel { re }),
            ClientFrame::Auth(auth) if self.agreed(REFRESH) => return self.fresh_token(auth),
            ClientFrame::Taken { offset, topic: Some(topic) } if self.agreed(TOPICS) => {
                return self.topic_taken(offset, topic);
            }
            ClientFrame::History(asked) if self.agreed(TOPICS) => return self.history(asked),
            ClientFrame::Taken { .. }
            | ClientFrame::Cancel { .. }
            | ClientFrame::Subscribe { .. }
            | ClientFrame::Unsubscribe { .. }
            | ClientFrame::History(_)
            | ClientFrame::Auth(_) => {
                return Err(PeerMisbehaved::new(Clause::FrameLevel, "a frame of a level that was not agreed"));
            }
        }
        Ok(())
    }

    /// Whether both ends listed this level.
    pub(super) fn agreed(&self, level: &str) -> bool {
        self.levels.iter().any(|agreed| agreed == level)
    }

    pub(super) fn hello(&mut self, mut hello: Hello) {
        self.greeted = true;
        let theirs = |level: &str| hello.capabilities.iter().any(|listed| listed == level);
        let ours = |level: &str| match level {
            TOPICS => self.config.topics,
            STREAMS => self.config.has_streams,
            QUESTIONS => self.config.has_questions,
            _ => true,
        };
        // What needs a level needs what that needs: Resume above all, without which `ready` leaves the others out.
        let both = LEVELS.into_iter().filter(|(level, needs)| ours(level) && theirs(level) && needs.is_none_or(theirs));
        self.levels = both.map(|(level, _)| level.to_owned()).collect();
        if !self.agreed(RESUME) {
            hello.resume = None;
        }
        self.hello_deadline = None;
        if let Some(window) = hello.window {
            self.window = window;
        }
        self.events.push_back(ServerEvent::Hello(Box::new(hello)));
    }

    pub(super) fn send(&mut self, mut send: Send, bytes: u64) -> Result<(), PeerMisbehaved> {
        let last = self.undecided.back().map_or(0, |flying| flying.id);
        if send.id <= last {
            return Err(PeerMisbehaved::new(Clause::SendIdIncreasing, "an id that is not above the one before"));
        }
        // A client uses the place of a refused send as soon as it reads the nack (clause `send.window`).
        let flying = self.undecided.iter().filter(|flying| flying.fate != Some(Fate::Refused)).count();
        if flying as u64 >= self.config.in_flight.messages {
            return Err(PeerMisbehaved::new(Clause::SendWindow, "more in flight than `max_in_flight`"));
        }
        if send.re.is_some() && self.agreed(QUESTIONS) {
            // Fields that an answer does not have.
            (send.answer, send.key, send.topic) = (false, None, None);
            (send.stream, send.of, send.end) = (false, None, false);
        } else {
            (send.re, send.error) = (None, None);
        }
        send.answer &= self.agreed(ANSWERS);
        let of = self.in_stream(&mut send)?;
        send.topic = send.topic.filter(|_| self.agreed(TOPICS));
        if let Some(topic) = &send.topic {
            topics::name(topic)?;
        }
        send.key = send.key.filter(|_| self.agreed(RESUME));
        if send.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
            return Err(PeerMisbehaved::new(Clause::SendKey, "a key over 64 bytes"));
        }
        self.undecided.push_back(Flying { id: send.id, bytes, of, fate: None });
        self.events.push_back(ServerEvent::Send(send));
        Ok(())
    }

    pub(super) fn write(&mut self, frame: &ServerFrame) {
        self.transmits.push_back(match frame.to_wire() {
            Wire::Text(text) => Transmit::Text(text),
            Wire::Binary(message) => Transmit::Binary(message),
        });
    }

    pub(super) fn violated(&mut self, misbehaved: PeerMisbehaved) {
        self.end(misbehaved.code(), misbehaved.to_string(), Some(misbehaved.clause), None);
    }

    pub(super) fn end(&mut self, code: u16, reason: String, clause: Option<Clause>, retry_after: Option<Duration>) {
        if self.stage == Stage::Closed {
            return;
        }
        if self.ack.is_some() {
            self.acknowledge();
        }
        self.write(&ServerFrame::Bye(Bye {
            code: u64::from(code),
            reason: reason.clone(),
            class: Some(Class::of(code, true)),
            retry_after_ms: retry_after.map(millis),
            clause: clause.map(|clause| clause.id().to_owned()),
        }));
        let cut = close::cut_reason(&reason).to_owned();
        self.transmits.push_back(Transmit::Close { code, reason: cut });
        self.closed(code, reason, clause, false);
    }

    pub(super) fn closed(&mut self, code: u16, reason: String, clause: Option<Clause>, ends_session: bool) {
        if self.stage == Stage::Closed {
            return;
        }
        let stage = std::mem::replace(&mut self.stage, Stage::Closed);
        let ends_session = ends_session || !self.agreed(RESUME);
        self.events.push_back(ServerEvent::Closed(Ending { code, reason, clause, stage, ends_session }));
    }
}

pub(super) fn hello_in(entry: &str) -> Result<Hello, PeerMisbehaved> {
    if entry.len() + HELLO_PREFIX.len() > HELLO_ENTRY_BYTES {
        return Err(PeerMisbehaved::new(Clause::UpgradeHello, "a hello over 4 KiB in the upgrade"));
    }
    let text = base64url::decode(entry).and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| PeerMisbehaved::new(Clause::UpgradeHello, "the hello is not base64url of UTF-8"))?;
    Hello::parse(&text)
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A code that may stand in a close frame.
fn sendable(code: u16) -> u16 {
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => code,
        _ => close::NORMAL,
    }
}
