//! Sessions and their inboxes on the log, so that a session may go from one process of the server to another.
//!
//! Two logs make a session. Its own one is written by the connection that has it, under a fence, and is folded by the
//! protocol's [`Session`]; the inbox is written by whoever has something to tell, and its offsets are those of the
//! `message` frames. A binding raises the fence in one compare-and-set, and from then on the former connection writes
//! nothing more, wherever it is (clause `session.fence`).

mod bound;
mod codec;
mod questions;
mod streams;
#[cfg(test)]
mod tests;

pub(crate) use bound::{BoundSession, Left, Taking, Watches};
pub(crate) use streams::{Part, Resumed, StreamNews, parts};

use crate::log::{Append, Durability, Head, Holds, Log, LogError, Name, Record};
use codec::{decode_record, encode_message, encode_record};
use questions::Asked;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_protocol::frame::{Refusal, Resume};
use readywire_protocol::server::{
    AppendError, BindError, Credentials, InboxRange, Session, SessionMessage, SessionRecord,
};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

/// Everything that there is.
const ALL: Window = Window { messages: u64::MAX, bytes: u64::MAX };
/// Nothing: only where a log begins and ends.
const NONE: Window = Window { messages: 0, bytes: 0 };
/// How often a binding that others get ahead of is tried.
const TRIES: usize = 32;

/// The logs of one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    /// Its id.
    pub(crate) id: Arc<str>,
    /// What was decided.
    session: Name,
    /// What it is told.
    inbox: Name,
}

impl Address {
    /// `None` if no session can have this id. A client says it: it must not name another subject's log.
    pub(crate) fn of(subject: &str, id: &str) -> Option<Self> {
        let fits = !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self {
            id: id.into(),
            session: format!("session/{subject}/{id}").into(),
            inbox: format!("inbox/{subject}/{id}").into(),
        })
    }

    fn of_inbox(inbox: &str) -> Option<Self> {
        let (subject, id) = inbox.strip_prefix("inbox/")?.rsplit_once('/')?;
        Self::of(subject, id)
    }

    pub(crate) fn names(&self) -> Vec<Name> {
        vec![self.session.clone(), self.inbox.clone()]
    }
}

/// What a connection is told of the session that it got.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    /// Whether it is the one asked for.
    pub(crate) resumed: bool,
    /// The highest id decided.
    pub(crate) received: u64,
    /// Refusals that the client has not settled.
    pub(crate) refused: Vec<Refusal>,
    /// The last offset that the client holds.
    pub(crate) inbox: u64,
    /// The streams that are open.
    pub(crate) streams: Vec<Resumed>,
}

/// Why a connection gets no session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unbound {
    /// A later attempt has it.
    TakenOver,
    /// The log does not answer.
    Log(LogError),
}

impl From<LogError> for Unbound {
    fn from(error: LogError) -> Self {
        Self::Log(error)
    }
}

/// Every session of a server, whichever process has it.
#[derive(Debug)]
pub(crate) struct SessionStore {
    log: Arc<dyn Log>,
    config: ServerConfig,
    asked: Asked,
}

impl SessionStore {
    pub(crate) fn new(log: Arc<dyn Log>, config: ServerConfig) -> Self {
        Self { log, config, asked: Asked::default() }
    }

    /// Binds a connection to the session it asks for, or to a new one. A failed resume never tells why.
    pub(crate) async fn bind(
        self: &Arc<Self>,
        credentials: Credentials,
        resume: Option<&Resume>,
    ) -> Result<(Granted, BoundSession), Unbound> {
        if let Some(resume) = resume
            && let Some(bound) = self.resume(&credentials, resume).await?
        {
            return Ok(bound);
        }
        let Credentials { subject, fresh_id, fresh_token, .. } = credentials;
        self.make_room(&subject).await?;
        let address = Address::of(&subject, &fresh_id).ok_or(LogError::Missing)?;
        let began =
            SessionRecord::Began { subject, token: fresh_token, keeps_refusals: self.config.in_flight.messages };
        let appends = vec![
            Append::to(address.session.clone(), vec![record(&began)]).fenced(1).at_head(0),
            Append::to(address.inbox.clone(), Vec::new()).at_head(0),
        ];
        self.log.append(appends).await?;
        let session = Session::fold([began]).ok_or(LogError::Missing)?;
        Ok((Granted::default(), BoundSession::new(self.clone(), address, session, 1).await?))
    }

    /// What a client that cannot resume is given: nothing of it is kept.
    pub(crate) fn unkept(self: &Arc<Self>, credentials: Credentials) -> Option<(Granted, BoundSession)> {
        let Credentials { subject, fresh_id, fresh_token, .. } = credentials;
        let address = Address::of(&subject, &fresh_id)?;
        let session = Session::fold([SessionRecord::Began {
            subject,
            token: fresh_token,
            keeps_refusals: self.config.in_flight.messages,
        }])?;
        Some((Granted::default(), BoundSession::unkept(self.clone(), address, session)))
    }

    async fn resume(
        self: &Arc<Self>,
        credentials: &Credentials,
        resume: &Resume,
    ) -> Result<Option<(Granted, BoundSession)>, Unbound> {
        let Some(address) = Address::of(&credentials.subject, &resume.session) else { return Ok(None) };
        for _ in 0..TRIES {
            let Some((mut session, head)) = self.load(&address).await? else { return Ok(None) };
            let inbox = match self.log.read(&address.inbox, resume.inbox, NONE).await {
                Ok(batch) => InboxRange { first: batch.first, head: batch.head },
                Err(LogError::Missing) => return Ok(None),
                Err(error) => return Err(error.into()),
            };
            let bound =
                session.resume(credentials, resume, inbox).map_err(|BindError::TakenOver| Unbound::TakenOver)?;
            let Some(bound) = bound else { return Ok(None) };
            let append = Append::to(address.session.clone(), vec![record(&bound)]);
            let append = append.fenced(session.fence + 1).at_head(head).existing();
            match self.log.append(vec![append]).await {
                Ok(_) => {}
                // Somebody was faster: look again.
                Err(LogError::Moved | LogError::Fenced | LogError::Missing) => continue,
                Err(error) => return Err(error.into()),
            }
            session.apply(bound);
            self.log.trim(&address.inbox, resume.inbox).await?;
            let (open, streams) = self.resume_streams(&address, session.received).await?;
            let granted = Granted {
                resumed: true,
                received: session.received,
                refused: session.refused.values().cloned().collect(),
                inbox: resume.inbox,
                streams,
            };
            return match BoundSession::new(self.clone(), address, session, head + 1).await {
                Ok(bound) => Ok(Some((granted, bound.with_streams(open)))),
                // It ended right now.
                Err(LogError::Missing) => Ok(None),
                Err(error) => Err(error.into()),
            };
        }
        Err(LogError::Moved.into())
    }

    /// A session as its log tells it, and the head of that.
    async fn load(&self, address: &Address) -> Result<Option<(Session, u64)>, LogError> {
        match self.log.read(&address.session, 0, ALL).await {
            Ok(batch) => {
                let records = batch.entries.iter().filter_map(|entry| decode_record(&entry.record.data));
                // What comes before the last whole one is told by that; it is kept for those who follow slowly.
                let mut tail: Vec<SessionRecord> = records.collect();
                let whole = |record: &SessionRecord| matches!(record, SessionRecord::Whole(_));
                if let Some(at) = tail.iter().rposition(whole) {
                    tail.drain(..at);
                }
                Ok(Session::fold(tail).map(|session| (session, batch.head)))
            }
            Err(LogError::Missing) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The logs whose names are this and a number, with that.
    async fn numbered(&self, prefix: &str) -> Result<Vec<(u64, Name)>, LogError> {
        let found = self.log.list(prefix).await?;
        // Another subject's name may go on where this one's ends.
        Ok(found.into_iter().filter_map(|name| Some((name[prefix.len()..].parse().ok()?, name))).collect())
    }

    /// Ends the subject's oldest detached session when there are too many (clause `session.limit`).
    async fn make_room(&self, subject: &str) -> Result<(), LogError> {
        let prefix = format!("inbox/{subject}/");
        let mine = self.addresses(&prefix).await?;
        // Another subject's name may go on where this one's ends.
        let mine: Vec<Address> =
            mine.into_iter().filter(|address| !address.inbox[prefix.len()..].contains('/')).collect();
        if mine.len() < self.config.sessions_per_subject {
            return Ok(());
        }
        let mut detached = Vec::new();
        for address in &mine {
            if let Some((session, head)) = self.load(address).await?
                && let Some(at) = session.detached_at
            {
                detached.push((at, session.fence, head, address));
            }
        }
        detached.sort_by_key(|(at, ..)| *at);
        let too_many = mine.len() + 1 - self.config.sessions_per_subject;
        for (_, fence, head, address) in detached.into_iter().take(too_many) {
            let ended = Append::to(address.session.clone(), vec![record(&SessionRecord::Ended)]);
            match self.log.append(vec![ended.fenced(fence + 1).at_head(head).existing()]).await {
                Ok(_) => self.remove(address).await?,
                // It has come back meanwhile, or is gone.
                Err(LogError::Moved | LogError::Fenced | LogError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Appends to a session's inbox, whoever has the session, or nobody.
    pub(crate) async fn append(&self, address: &Address, message: &SessionMessage) -> Result<(), AppendFailure> {
        let append = Append::to(address.inbox.clone(), vec![Record::new(encode_message(message, Moment::now()))]);
        let append = append.existing().holding(Holds::AtMost(self.config.inbox));
        match self.log.append(vec![append]).await {
            Ok(_) => Ok(()),
            Err(LogError::Missing) => Err(AppendFailure::Refused(AppendError::Ended)),
            Err(LogError::Full) => Err(AppendFailure::Refused(AppendError::Full)),
            Err(error) => Err(AppendFailure::Log(error)),
        }
    }

    /// What becomes of the session's inbox, for who waits until it has room.
    pub(crate) async fn watch_inbox(&self, address: &Address) -> Result<watch::Receiver<Head>, LogError> {
        self.log.subscribe(&address.inbox).await
    }

    /// Calls `cancel` for each answer that somebody asks to stop, as long as it wants to know more. Ends, too, when the
    /// session does, and then tells so.
    pub(crate) async fn follow(&self, address: &Address, mut after: u64, mut cancel: impl FnMut(u64) -> bool) -> bool {
        let mut heads = match self.log.subscribe(&address.session).await {
            Ok(heads) => heads,
            Err(error) => return error == LogError::Missing,
        };
        loop {
            heads.borrow_and_update();
            let batch = match self.log.read(&address.session, after, ALL).await {
                Ok(batch) => batch,
                Err(error) => return error == LogError::Missing,
            };
            after = batch.head;
            let asked = batch.entries.iter().filter_map(|entry| match decode_record(&entry.record.data)? {
                SessionRecord::Cancelled { re } => Some(re),
                _ => None,
            });
            // Asked once more after the last, to learn whether there is still work.
            if !asked.chain([0]).all(&mut cancel) {
                return false;
            }
            if heads.changed().await.is_err() {
                return true;
            }
        }
    }

    /// Ends a session whoever has it, since its inbox stays full: what cannot be kept must not be lost unnoticed (clause
    /// `inbox.bounded`).
    pub(crate) async fn end(&self, address: &Address) -> Result<(), LogError> {
        self.remove(address).await
    }

    /// The sessions of a subject that have an inbox, attached or not.
    pub(crate) async fn of_subject(&self, subject: &str) -> Result<Vec<Address>, LogError> {
        let prefix = format!("inbox/{subject}/");
        let found = self.addresses(&prefix).await?;
        Ok(found.into_iter().filter(|address| !address.inbox[prefix.len()..].contains('/')).collect())
    }

    /// Every session that has an inbox.
    pub(crate) async fn everyone(&self) -> Result<Vec<Address>, LogError> {
        self.addresses("inbox/").await
    }

    /// What a taken send survives. What the log keeps may outlive this process, but the work behind a send does not, and
    /// nobody begins it again (clause `session.durability`).
    pub(crate) fn durability(&self) -> Durability {
        Durability::Process
    }

    /// Keeps these sessions for as long as a process may be silent.
    pub(crate) async fn keep_bound(&self, names: Vec<Name>) -> Result<(), LogError> {
        self.log.keep(names, self.config.session_ttl * 2).await
    }

    async fn addresses(&self, prefix: &str) -> Result<Vec<Address>, LogError> {
        Ok(self.log.list(prefix).await?.iter().filter_map(|name| Address::of_inbox(name)).collect())
    }
}

/// Why a message was not appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppendFailure {
    /// The inbox does not take it.
    Refused(AppendError),
    /// The log does not answer.
    Log(LogError),
}

fn record(record: &SessionRecord) -> Record {
    Record::new(encode_record(record))
}

/// Microseconds since 1970, by the clock of whichever process: good for telling about when, and never for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Duration::from_micros(Self::now().0.saturating_sub(self.0))
    }
}
