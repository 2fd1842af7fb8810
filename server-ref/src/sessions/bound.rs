//! A session in the hands of the connection that has it.

use super::codec::{decode_message, decode_record};
use super::questions::{self, Questions};
use super::streams::{Batches, Streams};
use super::{Address, Moment, SessionStore, record};
use crate::log::{Append, Batch, Head, Holds, LogError, Name, Place, Record, Retention};
use readywire_protocol::config::Window;
use readywire_protocol::frame::{Message, Refusal, Send};
use readywire_protocol::server::{Decision, Session, SessionMessage, SessionRecord};
use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;

/// After so many records one is written that tells them all. Those before the last but one are dropped: who follows a
/// session from another process may lag as far.
const WHOLE_AFTER: u64 = 256;

/// What became of a send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Taken now: process it.
    New,
    /// Decided before: answer again, do not process.
    Again(Decision),
}

/// What is left of a session when its connection is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// It waits for its next connection, or another has it.
    Detached,
    /// It is over.
    Over,
    /// It is over, since one message ended three connections.
    Poisoned,
}

/// A session and the right to write to it, until somebody else binds it.
#[derive(Debug)]
pub(crate) struct BoundSession {
    store: Arc<SessionStore>,
    address: Address,
    session: Session,
    /// `None` for a client that cannot resume.
    place: Option<Where>,
    /// What goes along with the next append.
    unwritten: Vec<SessionRecord>,
    /// What the handlers that were started here did first, as long as it is under way.
    starts: TaskTracker,
    /// The streams that are open, as far as this connection knows.
    streams: Streams,
    /// The questions that it has delivered.
    questions: Questions,
    /// Whether anything was decided here.
    decided: bool,
    /// Whether another has it by now.
    fenced: bool,
}

/// Where the session's own log has been read to.
#[derive(Debug)]
struct Where {
    offset: u64,
    /// Of the last record that is the whole.
    whole: u64,
}

/// What a connection watches.
#[derive(Debug)]
pub(crate) struct Watches {
    /// The session's own log: another may bind it.
    pub(crate) session: watch::Receiver<Head>,
    /// Something may come.
    pub(crate) inbox: watch::Receiver<Head>,
}

impl BoundSession {
    pub(super) async fn new(
        store: Arc<SessionStore>,
        address: Address,
        session: Session,
        offset: u64,
    ) -> Result<Self, LogError> {
        store.keep_bound(address.names()).await?;
        Ok(Self { place: Some(Where { offset, whole: 0 }), ..Self::unkept(store, address, session) })
    }

    pub(super) fn unkept(store: Arc<SessionStore>, address: Address, session: Session) -> Self {
        Self {
            store,
            address,
            session,
            place: None,
            unwritten: Vec::new(),
            starts: TaskTracker::new(),
            streams: Streams::default(),
            questions: Questions::default(),
            decided: false,
            fenced: false,
        }
    }

    pub(super) fn with_streams(self, streams: Streams) -> Self {
        Self { streams, ..self }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Under which fence it writes; a higher one in the log is somebody else's.
    pub(crate) fn fence(&self) -> u64 {
        self.session.fence
    }

    /// How far it knows its own log.
    pub(crate) fn offset(&self) -> u64 {
        self.place.as_ref().map_or(0, |place| place.offset)
    }

    /// What to watch; `None` if nothing of it is kept.
    pub(crate) async fn watches(&self) -> Result<Option<Watches>, LogError> {
        if self.place.is_none() {
            return Ok(None);
        }
        let log = &self.store.log;
        let session = log.subscribe(&self.address.session).await?;
        let inbox = log.subscribe(&self.address.inbox).await?;
        Ok(Some(Watches { session, inbox }))
    }

    /// Where what handlers do first is kept note of: whoever has the session next waits until it is done.
    pub(crate) fn starts(&self) -> &TaskTracker {
        &self.starts
    }

    /// Another has the session: nothing more is written as if it were not so.
    pub(crate) fn fence_off(&mut self) {
        self.fenced = true;
    }

    /// Whether the connection that had it before may still start handlers (clause `send.order`).
    pub(crate) fn awaits_release(&self) -> bool {
        self.session.awaits_release()
    }

    /// Reads what others have written since.
    pub(crate) async fn catch_up(&mut self) -> Result<(), LogError> {
        let Some(place) = &mut self.place else { return Ok(()) };
        let batch = self.store.log.read(&self.address.session, place.offset, super::ALL).await?;
        for record in batch.entries.iter().filter_map(|entry| decode_record(&entry.record.data)) {
            // From here on it is another's, under whose fence this one must not write.
            if matches!(record, SessionRecord::Bound { .. }) {
                return Err(LogError::Fenced);
            }
            self.session.apply(record);
        }
        place.offset = batch.head;
        Ok(())
    }

    /// Whether the session is there.
    pub(crate) async fn look(&self) -> Result<(), LogError> {
        self.store.log.read(&self.address.session, u64::MAX, super::NONE).await.map(drop)
    }

    /// The logs of the session that last as long as it does.
    pub(crate) fn names(&self) -> Vec<Name> {
        self.address.names().into_iter().chain(self.streams.names()).collect()
    }

    /// The streams that are open.
    pub(crate) fn streams(&mut self) -> &mut Streams {
        &mut self.streams
    }

    /// Ends when something may have become of a stream or a question.
    pub(crate) async fn moved(&mut self) {
        tokio::select! {
            () = self.streams.moved() => {}
            () = self.questions.moved() => {}
        }
    }

    /// The questions that its client has, up to `inbox`; tells which of them are withdrawn. One that does not answer
    /// questions has none.
    pub(crate) async fn resume_questions(&mut self, inbox: u64, answers: bool) -> Result<Vec<u64>, LogError> {
        self.questions.resumed(&self.store, &self.address, inbox, answers).await
    }

    /// A question is delivered; tells whether anybody waits for its answer, if its client answers questions.
    pub(crate) async fn delivers_question(&mut self, offset: u64, answers: bool) -> Result<bool, LogError> {
        if !answers {
            self.store.unsupported(&self.address, offset).await;
            return Ok(true);
        }
        self.questions.follow(&self.store, &self.address, offset).await
    }

    /// The questions that nobody waits for any more.
    pub(crate) fn withdrawn_questions(&mut self) -> Vec<u64> {
        self.questions.look()
    }

    /// Ends a stream, since its answer was cancelled: no part of it is taken any more. Tells whether it was open.
    pub(crate) async fn end_stream(&mut self, id: u64) -> Result<bool, LogError> {
        if !self.streams.is_open(id) {
            return Ok(false);
        }
        self.streams.open.retain(|open| open.id != id);
        self.store.log.remove(vec![self.address.stream(id)]).await.map(|()| true)
    }

    /// Decides sends, as [`BoundSession::try_take`] does. A stream may end right before its parts are appended, or a question
    /// be withdrawn right before its answer is: then they are judged anew.
    pub(crate) async fn take(&mut self, sends: &[(Send, Option<Refusal>)]) -> Result<Vec<Taking>, LogError> {
        let asked = sends.iter().any(|(send, _)| send.re.is_some());
        if !asked && sends.iter().all(|(send, _)| send.of.is_none()) {
            return self.try_take(sends).await;
        }
        loop {
            let (session, unwritten) = (self.session.clone(), self.unwritten.clone());
            match self.try_take(sends).await {
                Err(LogError::Missing) if self.forget_ended().await? => {}
                // The session is there: it is a question that is not open any more.
                Err(LogError::Missing | LogError::Moved) if asked => self.look().await?,
                done => return done,
            }
            (self.session, self.unwritten) = (session, unwritten);
        }
    }

    /// Looks for streams that have ended, and tells whether there were any.
    async fn forget_ended(&mut self) -> Result<bool, LogError> {
        let there = self.store.streams(&self.address).await?;
        Ok(self.streams.have_ended(|id| !there.iter().any(|(open, _)| *open == id)))
    }

    /// Decides sends, in one step with `received`: each is taken, or refused with what stands beside it. When this has
    /// failed, nobody may be told anything.
    async fn try_take(&mut self, sends: &[(Send, Option<Refusal>)]) -> Result<Vec<Taking>, LogError> {
        let keys = self.keys();
        let mut takings = Vec::with_capacity(sends.len());
        let mut claims: Vec<(usize, Record)> = Vec::new();
        let mut known: Vec<usize> = Vec::new();
        let (mut through, mut refused) = (0, Vec::new());
        let mut batches = Batches::default();
        let (mut answers, mut answered) = (Vec::new(), Vec::new());
        for (index, (send, refuse)) in sends.iter().enumerate() {
            if let Some(decision) = self.session.decided(send.id) {
                takings.push(Taking::Again(decision));
                continue;
            }
            through = send.id;
            let refuse = match (refuse, send.re) {
                (Some(refuse), _) => Some(refuse.clone()),
                (None, Some(re)) => {
                    let open = !answered.contains(&re) && self.store.is_asked(&self.address, re).await?;
                    (!open).then(not_asked)
                }
                (None, None) => batches.judge(send, &self.streams, self.store.config.streams),
            };
            let claimed = |key: &String| claims.iter().any(|(_, claim)| claim.key.as_deref() == Some(key));
            let refusal = match (&refuse, &send.key) {
                // The first decision stands, whatever may be wrong now (clause `send.key`).
                (Some(_), Some(key)) if claimed(key) || self.store.log.find(&keys, key).await?.is_some() => {
                    known.push(index);
                    None
                }
                // Nothing reads the stream of a send that is not processed.
                (None, Some(key)) if send.stream && self.store.log.find(&keys, key).await?.is_some() => {
                    known.push(index);
                    None
                }
                (Some(refusal), _) => Some(Refusal { id: send.id, ..refusal.clone() }),
                (None, Some(key)) => {
                    claims.push((index, Record::keyed(key.as_str(), self.address.id.as_bytes().to_vec())));
                    None
                }
                (None, None) => None,
            };
            if refusal.is_none() && !known.contains(&index) {
                batches.add(send);
                answers.extend(questions::append(&self.address, send));
                answered.extend(send.re);
            }
            let now = refusal.iter().cloned().collect();
            self.session.apply(SessionRecord::Decided { through, refused: now });
            takings.push(match refusal {
                Some(refusal) => {
                    refused.push(refusal.clone());
                    Taking::Again(Decision::Refused(refusal))
                }
                None => Taking::New,
            });
        }
        if through == 0 {
            return Ok(takings);
        }
        let (claimants, claims): (Vec<usize>, Vec<Record>) = claims.into_iter().unzip();
        let claims = (!claims.is_empty())
            .then(|| Append::to(keys, claims).holding(Holds::Latest(Retention::of_age(self.store.config.key_memory))));
        let appends = batches.appends(&self.address);
        let claimed = claims.is_some();
        let others = claims.into_iter().chain(appends).chain(answers).collect();
        let mut appended = self.write(SessionRecord::Decided { through, refused }, others).await?.into_iter();
        self.questions.answered(&answered);
        let places = if claimed { appended.next().unwrap_or_default() } else { Vec::new() };
        batches.done(&self.store, &self.address, &mut self.streams, appended.collect()).await?;
        let taken_before = claimants.into_iter().zip(places).filter(|(_, place)| matches!(place, Place::Known(_)));
        known.extend(taken_before.map(|(index, _)| index));
        for index in known {
            takings[index] = Taking::Again(Decision::Taken);
            let send = &sends[index].0;
            self.end_stream(send.id).await?;
            if send.answer {
                let end = Record::new(super::encode_message(&SessionMessage::duplicate(send), Moment::now()));
                let end = Append::to(self.address.inbox.clone(), vec![end]).existing();
                self.store.log.append(vec![end]).await?;
            }
        }
        Ok(takings)
    }

    /// The client has shown that it holds the latest token. Written with whatever comes next, by [`BoundSession::flush`]
    /// at the latest.
    pub(crate) fn confirm_token(&mut self) {
        self.session.apply(SessionRecord::Confirmed);
        self.unwritten.push(SessionRecord::Confirmed);
    }

    /// Somebody else may have to stop this answer.
    pub(crate) fn cancel_elsewhere(&mut self, re: u64) {
        self.unwritten.push(SessionRecord::Cancelled { re });
    }

    /// Writes what has not gone along with anything.
    pub(crate) async fn flush(&mut self) -> Result<(), LogError> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut records = std::mem::take(&mut self.unwritten);
        let Some(last) = records.pop() else { return Ok(()) };
        self.unwritten = records;
        self.write(last, Vec::new()).await.map(drop)
    }

    /// The messages after `after` that fit into `room`, and when they were appended.
    pub(crate) async fn read(&self, after: u64, room: Window) -> Result<Vec<(Message, Moment)>, LogError> {
        let batch = self.store.log.read(&self.address.inbox, after, room).await?;
        if batch.is_trimmed_after(after) {
            // Whoever has the session by now took it.
            return Ok(Vec::new());
        }
        let messages = batch.entries.iter().filter_map(|entry| {
            let (message, at) = decode_message(&entry.record.data)?;
            let SessionMessage { event, payload, re, end, error, asks } = message;
            Some((Message { offset: entry.offset, event, payload, re, end, error, asks }, at))
        });
        Ok(messages.collect())
    }

    /// The client holds everything up to `offset`: it need not be kept.
    pub(crate) async fn taken(&self, offset: u64) -> Result<(), LogError> {
        self.store.log.trim(&self.address.inbox, offset).await
    }

    /// The connection is gone, and with `ends` the session, too. `untaken` is the first message that it left untaken
    /// (clause `inbox.poisoned`). Tells what is left.
    pub(crate) async fn leave(&mut self, ends: bool, untaken: Option<u64>) -> Result<Left, LogError> {
        let names = self.names();
        if self.place.is_none() {
            return Ok(Left::Over);
        }
        if !ends {
            // Whoever has the session next waits no longer than this, either.
            self.starts.close();
            let _ = tokio::time::timeout(self.store.config.release_wait, self.starts.wait()).await;
        }
        if ends {
            return match self.write(SessionRecord::Ended, Vec::new()).await {
                Ok(_) => self.store.remove(&self.address).await.map(|()| Left::Over),
                // Not this connection's to end any more.
                Err(LogError::Fenced) => Ok(Left::Detached),
                Err(LogError::Missing) => Ok(Left::Over),
                Err(error) => Err(error),
            };
        }
        let blamed = (untaken.is_some() || self.session.blamed.is_some()).then_some(SessionRecord::Blamed { untaken });
        for happened in std::iter::once(SessionRecord::Detached { at: Moment::now().0 }).chain(blamed.clone()) {
            self.session.apply(happened.clone());
            self.unwritten.push(happened);
        }
        match self.flush().await {
            Ok(_) if self.session.over => self.store.remove(&self.address).await.map(|()| Left::Poisoned),
            Ok(_) => self.store.log.keep(names, self.store.config.session_ttl).await.map(|()| Left::Detached),
            Err(LogError::Fenced) => {
                let fence = self.session.fence;
                let released = self.decided.then_some(SessionRecord::Released { fence });
                let told: Vec<Record> = released.iter().chain(&blamed).map(record).collect();
                if !told.is_empty() {
                    let append = Append::to(self.address.session.clone(), told);
                    // Whoever has it starts what it was sent, or ends it, should it come to that.
                    let _ = self.store.log.append(vec![append.existing()]).await;
                }
                Ok(Left::Detached)
            }
            Err(LogError::Missing) => Ok(Left::Over),
            Err(error) => Err(error),
        }
    }

    fn keys(&self) -> Name {
        format!("keys/{}", self.session.subject).into()
    }

    /// Appends what waits and this record, which have been applied, and in the same step what goes to other logs; tells where
    /// that is, for each.
    async fn write(&mut self, last: SessionRecord, others: Vec<Append>) -> Result<Vec<Vec<Place>>, LogError> {
        let Some(place) = &mut self.place else {
            self.unwritten.clear();
            return Ok(Vec::new());
        };
        if self.fenced {
            return Err(LogError::Fenced);
        }
        let mut records: Vec<Record> = self.unwritten.drain(..).map(|unwritten| record(&unwritten)).collect();
        records.push(record(&last));
        // Not while something is awaited that may come right before it, and would not be in it.
        let whole = place.offset >= place.whole + WHOLE_AFTER && !self.session.awaits_release();
        if whole {
            records.push(record(&SessionRecord::Whole(Box::new(self.session.clone()))));
        }
        let count = records.len() as u64;
        let own = Append::to(self.address.session.clone(), records).fenced(self.session.fence).existing();
        let appended = self.store.log.append(std::iter::once(own).chain(others).collect()).await;
        // Of what the log does not answer to, nobody knows.
        self.decided |= matches!(last, SessionRecord::Decided { .. }) && appended != Err(LogError::Fenced);
        let mut appended = appended?.into_iter();
        let head = appended.next().map_or(place.offset + count, |appended| appended.head);
        let elsewhere = appended.map(|appended| appended.places).collect();
        let (before, foreign) = (place.offset, head - count - place.offset);
        place.offset = head;
        if whole {
            let former = std::mem::replace(&mut place.whole, head);
            self.store.log.trim(&self.address.session, former.saturating_sub(1)).await?;
        }
        if foreign > 0 {
            // Others write little here, and nothing that a decision depends on.
            let room = Window { messages: foreign, bytes: u64::MAX };
            let Batch { entries, .. } = self.store.log.read(&self.address.session, before, room).await?;
            let records = entries.iter().filter_map(|entry| decode_record(&entry.record.data));
            records.for_each(|record| self.session.apply(record));
        }
        Ok(elsewhere)
    }
}

/// What becomes of an answer that nobody waits for (clause `question.answered`).
fn not_asked() -> Refusal {
    Refusal { message: "nobody waits for an answer to that".to_owned(), ..Refusal::new(0, "not_asked") }
}
