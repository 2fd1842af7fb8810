//! Sessions: what was taken, what was refused, and what waits to be delivered, across connections.
//!
//! [`Sessions`] is the whole of it in one process: every step makes a record, and is done with it at once. A server of
//! several processes appends the records to logs that they share, and folds them by the same [`Session`].

use super::connection::Decision;
use super::session::{InboxRange, Session, SessionRecord};
use crate::config::{ServerConfig, Window};
use crate::frame::{AnswerError, Message, Refusal, Resume, Send};
use crate::json::Payload;
use crate::time::Instant;
use std::collections::{BTreeMap, VecDeque};

/// A hash of a secret: the store never sees a token itself (clause `session.token`).
pub type SecretHash = [u8; 32];

/// What a hello proves and what a new session would be given; the driver hashes and draws.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    /// Whom the token belongs to.
    pub subject: String,
    /// The connection that asks, unique in the log.
    pub owner: u64,
    /// The hash of `resume.token`, if there is one.
    pub presented: Option<SecretHash>,
    /// The id of the session, should it be a new one.
    pub fresh_id: String,
    /// The hash of the token that this connection is given.
    pub fresh_token: SecretHash,
}

/// The session that a connection got.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Binding {
    /// The session.
    pub id: String,
    /// Whether it is the one asked for.
    pub resumed: bool,
    /// The connection that had it until now, to be closed with 4013.
    pub fenced: Option<u64>,
    /// The highest id taken or refused.
    pub received: u64,
    /// Refusals above the hello's `settled`.
    pub refused: Vec<Refusal>,
    /// The last offset that the client holds.
    pub inbox: u64,
}

/// Why a connection gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindError {
    /// A later attempt has it: 4013.
    TakenOver,
}

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Take {
    /// Taken now: process it.
    New,
    /// Decided before: answer again, do not process.
    Again(Decision),
    /// The connection does not have the session any more.
    Fenced,
}

/// A message for a session's inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionMessage {
    /// What it is.
    pub event: String,
    /// Opaque JSON.
    pub payload: Payload,
    /// The send that it answers.
    pub re: Option<u64>,
    /// Whether it is the last part of the answer.
    pub end: bool,
    /// What went wrong.
    pub error: Option<AnswerError>,
    /// Whether it is a question, which somebody waits for an answer to.
    pub asks: bool,
}

impl SessionMessage {
    /// The end of an answer to a send whose key was taken before: nothing will process it, and still its answer has to
    /// end (clauses `send.key`, `answer.end`).
    pub fn duplicate(send: &Send) -> Self {
        Self {
            event: send.event.clone(),
            payload: Payload::null(),
            re: Some(send.id),
            end: true,
            error: Some(AnswerError {
                code: "duplicate_key".to_owned(),
                message: "a send with this key was taken before".to_owned(),
            }),
            asks: false,
        }
    }
}

/// Why a message was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AppendError {
    /// The session is over.
    Ended,
    /// The inbox is full: wait until the client has taken some.
    Full,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    session: Session,
    owner: Option<u64>,
    detached_at: Option<Instant>,
    inbox: VecDeque<Message>,
    inbox_bytes: u64,
    head: u64,
}

/// Every session of one log, in memory. Each method is one atomic step.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sessions {
    config: ServerConfig,
    sessions: BTreeMap<String, Kept>,
    keys: BTreeMap<(String, String), Instant>,
}

impl Sessions {
    /// An empty log.
    pub fn new(config: ServerConfig) -> Self {
        Self { config, sessions: BTreeMap::new(), keys: BTreeMap::new() }
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Binds a connection to the session it asks for, or to a new one. The higher attempt wins; a failed resume never
    /// tells why (clauses `session.attempt`, `session.fence`, `session.resumed`, `session.subject`).
    ///
    /// # Errors
    /// The session belongs to a later attempt.
    pub fn bind(
        &mut self,
        now: Instant,
        credentials: Credentials,
        resume: Option<&Resume>,
    ) -> Result<Binding, BindError> {
        self.expire(now);
        if let Some(resume) = resume
            && let Some(binding) = self.resume(&credentials, resume)?
        {
            return Ok(binding);
        }
        self.make_room(&credentials.subject);
        let began = SessionRecord::Began {
            subject: credentials.subject,
            token: credentials.fresh_token,
            keeps_refusals: self.config.in_flight.messages,
        };
        if let Some(session) = Session::fold([began]) {
            self.sessions.insert(credentials.fresh_id.clone(), Kept::new(session, credentials.owner));
        }
        Ok(Binding {
            id: credentials.fresh_id,
            resumed: false,
            fenced: None,
            received: 0,
            refused: Vec::new(),
            inbox: 0,
        })
    }

    fn resume(&mut self, credentials: &Credentials, resume: &Resume) -> Result<Option<Binding>, BindError> {
        let Some(kept) = self.sessions.get_mut(&resume.session) else { return Ok(None) };
        let Some(bound) = kept.session.resume(credentials, resume, kept.range())? else { return Ok(None) };
        kept.session.apply(bound);
        let fenced = kept.owner.replace(credentials.owner).filter(|owner| *owner != credentials.owner);
        kept.detached_at = None;
        kept.release(resume.inbox);
        Ok(Some(Binding {
            id: resume.session.clone(),
            resumed: true,
            fenced,
            received: kept.session.received,
            refused: kept.session.refused.values().cloned().collect(),
            inbox: resume.inbox,
        }))
    }

    /// The client has shown that it holds the latest token.
    pub fn confirm_token(&mut self, id: &str, owner: u64) {
        if let Some(kept) = self.owned(id, owner) {
            kept.session.apply(SessionRecord::Confirmed);
        }
    }

    /// Decides a send, atomically with `received`: taken, or refused with what `refuse` says of it.
    pub fn take(&mut self, now: Instant, id: &str, owner: u64, send: &Send, refuse: Option<Refusal>) -> Take {
        let memory = self.config.key_memory;
        let Some(kept) = self.sessions.get_mut(id).filter(|kept| kept.owner == Some(owner)) else {
            return Take::Fenced;
        };
        if let Some(decision) = kept.session.decided(send.id) {
            return Take::Again(decision);
        }
        // The first decision stands, whatever may be wrong now (clause `send.key`).
        let key = send.key.as_ref().map(|key| (kept.session.subject.clone(), key.clone()));
        if let Some(key) = &key {
            self.keys.retain(|_, seen| now.saturating_since(*seen) < memory);
            if self.keys.contains_key(key) {
                kept.session.apply(SessionRecord::Decided { through: send.id, refused: Vec::new() });
                if send.answer {
                    kept.push(SessionMessage::duplicate(send));
                }
                return Take::Again(Decision::Taken);
            }
        }
        let refusal = refuse.map(|refusal| Refusal { id: send.id, ..refusal });
        kept.session.apply(SessionRecord::Decided { through: send.id, refused: refusal.iter().cloned().collect() });
        if let Some(refusal) = refusal {
            return Take::Again(Decision::Refused(refusal));
        }
        if let Some(key) = key {
            self.keys.insert(key, now);
        }
        Take::New
    }

    /// Appends to a session's inbox, and tells the offset. Holds for a session that is detached, too.
    ///
    /// # Errors
    /// The session is over, or its inbox is full.
    pub fn append(&mut self, id: &str, message: SessionMessage) -> Result<u64, AppendError> {
        let bounds = self.config.inbox;
        let session = self.sessions.get_mut(id).ok_or(AppendError::Ended)?;
        let bytes = message.payload.size();
        let full = session.inbox.len() as u64 >= bounds.messages || session.inbox_bytes + bytes > bounds.bytes;
        if full && !session.inbox.is_empty() {
            return Err(AppendError::Full);
        }
        session.push(message);
        Ok(session.head)
    }

    /// The messages after `after` that fit into `room`.
    pub fn read(&self, id: &str, owner: u64, after: u64, room: Window) -> Vec<Message> {
        let Some(session) = self.sessions.get(id).filter(|session| session.owner == Some(owner)) else {
            return Vec::new();
        };
        let first = session.inbox.front().map_or(0, |message| message.offset);
        let skip = usize::try_from((after + 1).saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut messages = Vec::new();
        for message in session.inbox.iter().skip(skip).take(usize::try_from(room.messages).unwrap_or(usize::MAX)) {
            bytes += message.payload.size();
            if bytes > room.bytes && !messages.is_empty() {
                break;
            }
            messages.push(message.clone());
        }
        messages
    }

    /// The client holds everything up to `offset`: it need not be kept.
    pub fn taken(&mut self, id: &str, owner: u64, offset: u64) {
        if let Some(session) = self.owned(id, owner) {
            session.release(offset);
        }
    }

    /// The connection is gone; the session waits for its next, for its time.
    pub fn detach(&mut self, now: Instant, id: &str, owner: u64) {
        if let Some(kept) = self.owned(id, owner) {
            kept.owner = None;
            kept.detached_at = Some(now);
            let at = u64::try_from(now.since_origin().as_millis()).unwrap_or(u64::MAX);
            kept.session.apply(SessionRecord::Detached { at });
        }
    }

    /// A connection that had the session is over, and `untaken` is the first message that it delivered and that was not
    /// taken. The third in a row with the same one ends the session (clause `inbox.poisoned`): whatever it is, the client
    /// does not survive it. Tells whether it did.
    pub fn blame(&mut self, id: &str, untaken: Option<u64>) -> bool {
        let Some(kept) = self.sessions.get_mut(id) else { return false };
        kept.session.apply(SessionRecord::Blamed { untaken });
        let over = kept.session.over;
        if over {
            self.sessions.remove(id);
        }
        over
    }

    /// The client has ended the session.
    pub fn end(&mut self, id: &str, owner: u64) {
        if self.owned(id, owner).is_some() {
            self.sessions.remove(id);
        }
    }

    /// Ends a session whoever has it, since its inbox stays full: what cannot be kept must not be lost unnoticed (clause
    /// `inbox.bounded`). Tells the connection that had it.
    pub fn end_full(&mut self, id: &str) -> Option<u64> {
        self.sessions.remove(id)?.owner
    }

    /// Ends the sessions whose time is over, and tells which.
    pub fn expire(&mut self, now: Instant) -> Vec<String> {
        let ttl = self.config.session_ttl;
        let over = |kept: &Kept| kept.detached_at.is_some_and(|at| now.saturating_since(at) >= ttl);
        let ended: Vec<String> =
            self.sessions.iter().filter(|(_, kept)| over(kept)).map(|(id, _)| id.clone()).collect();
        for id in &ended {
            self.sessions.remove(id);
        }
        ended
    }

    /// The sessions of a subject, attached or not.
    pub fn of_subject<'a>(&'a self, subject: &'a str) -> impl Iterator<Item = &'a str> {
        let mine = move |(_, kept): &(&String, &Kept)| kept.session.subject == subject;
        self.sessions.iter().filter(mine).map(|(id, _)| id.as_str())
    }

    /// Every session.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.sessions.keys().map(String::as_str)
    }

    /// The connection that has the session.
    pub fn owner(&self, id: &str) -> Option<u64> {
        self.sessions.get(id)?.owner
    }

    fn owned(&mut self, id: &str, owner: u64) -> Option<&mut Kept> {
        self.sessions.get_mut(id).filter(|session| session.owner == Some(owner))
    }

    /// Ends the subject's oldest detached session when there are too many (clause `session.limit`).
    fn make_room(&mut self, subject: &str) {
        while self.of_subject(subject).count() >= self.config.sessions_per_subject {
            let oldest = self
                .sessions
                .iter()
                .filter(|(_, kept)| kept.session.subject == subject && kept.detached_at.is_some())
                .min_by_key(|(_, kept)| kept.detached_at)
                .map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.sessions.remove(&oldest);
        }
    }
}

impl Kept {
    fn new(session: Session, owner: u64) -> Self {
        Self { session, owner: Some(owner), detached_at: None, inbox: VecDeque::new(), inbox_bytes: 0, head: 0 }
    }

    fn range(&self) -> InboxRange {
        let first = self.inbox.front().map_or(self.head + 1, |message| message.offset);
        InboxRange { first, head: self.head }
    }

    fn push(&mut self, message: SessionMessage) {
        let SessionMessage { event, payload, re, end, error, asks } = message;
        self.head += 1;
        self.inbox_bytes += payload.size();
        self.inbox.push_back(Message { offset: self.head, event, payload, re, end, error, asks });
    }

    fn release(&mut self, offset: u64) {
        while self.inbox.front().is_some_and(|message| message.offset <= offset) {
            self.inbox_bytes -= self.inbox.pop_front().map_or(0, |message| message.payload.size());
        }
    }
}
