//! The questions of a session: each has a log of its own, from when it stands in the inbox until somebody knows its answer.
//!
//! That log takes one record, whichever comes first: the answer, in the same step as the decision that takes it; or that
//! nobody waits any more. So whoever asked is told once, wherever the session is, and a late answer finds nothing to answer.

use super::codec::{decode_message, encode_message};
use super::{ALL, Address, AppendFailure, Moment, NONE, SessionStore};
use crate::application::{Unanswered, Undeliverable};
use crate::log::{Append, Head, Holds, LogError, Name, Record};
use futures::FutureExt;
use readywire_protocol::frame::{AnswerError, Send};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{AppendError, SessionMessage};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// What this process asks, and waits for.
#[derive(Debug, Default)]
pub(super) struct Asked(Mutex<HashSet<Name>>);

/// What the one record of a question says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reply {
    /// The client has answered.
    Answered(Result<Payload, AnswerError>),
    /// The client does not answer questions.
    Unsupported,
    /// Nobody waits any more.
    Withdrawn,
}

/// The questions that a connection has delivered, and that are open as far as it knows.
#[derive(Debug, Default)]
pub(crate) struct Questions {
    open: Vec<(u64, watch::Receiver<Head>)>,
}

impl Address {
    /// The log of the question with this offset.
    fn question(&self, offset: u64) -> Name {
        format!("{}{offset}", self.questions()).into()
    }

    fn questions(&self) -> String {
        format!("question{}/", self.session.strip_prefix("session").unwrap_or_default())
    }
}

impl SessionStore {
    /// Asks a session, and waits for its answer. To drop the future withdraws the question. Needs a tokio runtime.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        address: Address,
        event: &str,
        payload: &Payload,
        within: Duration,
    ) -> Result<Payload, Unanswered> {
        let given_up = CancellationToken::new();
        let guard = given_up.clone().drop_guard();
        let (event, payload) = (event.to_owned(), payload.clone());
        let message = SessionMessage { event, payload, re: None, end: false, error: None, asks: true };
        // By itself, so that nothing is left half done when whoever waits does not any more.
        let asking = tokio::spawn(self.clone().ask_until(address, message, Instant::now() + within, given_up));
        let answer = asking.await.unwrap_or(Err(Unanswered::Undeliverable(Undeliverable::Unavailable)));
        drop(guard);
        answer
    }

    async fn ask_until(
        self: Arc<Self>,
        address: Address,
        message: SessionMessage,
        until: Instant,
        given_up: CancellationToken,
    ) -> Result<Payload, Unanswered> {
        let mut inbox = self.watch_inbox(&address).await.map_err(failed)?;
        let over = async || {
            tokio::select! {
                () = tokio::time::sleep_until(until) => Unanswered::Deadline,
                () = given_up.cancelled() => Unanswered::Stopped,
            }
        };
        let offset = loop {
            inbox.borrow_and_update();
            match self.put_question(&address, &message).await {
                Ok(offset) => break offset,
                Err(AppendFailure::Refused(AppendError::Full)) => tokio::select! {
                    changed = inbox.changed() => changed.map_err(|_| Unanswered::Gone)?,
                    over = over() => return Err(over),
                },
                Err(AppendFailure::Refused(AppendError::Ended)) => return Err(Unanswered::Gone),
                Err(AppendFailure::Log(error)) => return Err(failed(error)),
            }
        };
        let log = address.question(offset);
        self.asked().insert(log.clone());
        let answer = tokio::select! {
            biased;
            reply = self.reply(&log) => match reply {
                Ok(reply) => self.answered(&log, reply).await,
                Err(why) => Err(why),
            },
            () = gone(&mut inbox) => {
                let _ = self.log.remove(vec![log.clone()]).await;
                Err(Unanswered::Gone)
            }
            over = over() => self.withdraw(&log, over).await,
        };
        self.asked().remove(&log);
        answer
    }

    /// Appends the question, and makes its log in the same step; tells its offset.
    async fn put_question(&self, address: &Address, message: &SessionMessage) -> Result<u64, AppendFailure> {
        loop {
            let head = match self.log.read(&address.inbox, u64::MAX, NONE).await {
                Ok(batch) => batch.head,
                Err(LogError::Missing) => return Err(AppendFailure::Refused(AppendError::Ended)),
                Err(error) => return Err(AppendFailure::Log(error)),
            };
            let log = address.question(head + 1);
            let message = Record::new(encode_message(message, Moment::now()));
            let inbox = Append::to(address.inbox.clone(), vec![message]).existing().at_head(head);
            let appends =
                vec![inbox.holding(Holds::AtMost(self.config.inbox)), Append::to(log.clone(), Vec::new()).at_head(0)];
            match self.log.append(appends).await {
                Ok(_) => {
                    // Whether it can be kept shows in time.
                    let _ = self.keep_bound(vec![log]).await;
                    return Ok(head + 1);
                }
                // Something came in between.
                Err(LogError::Moved) => {}
                Err(LogError::Missing) => return Err(AppendFailure::Refused(AppendError::Ended)),
                Err(LogError::Full) => return Err(AppendFailure::Refused(AppendError::Full)),
                Err(error) => return Err(AppendFailure::Log(error)),
            }
        }
    }

    /// The one record of a question, as soon as it is there.
    async fn reply(&self, log: &Name) -> Result<Reply, Unanswered> {
        let mut news = self.log.subscribe(log).await.map_err(failed)?;
        loop {
            news.borrow_and_update();
            if let Some(reply) = self.look_at_question(log).await.map_err(failed)? {
                return Ok(reply);
            }
            news.changed().await.map_err(|_| Unanswered::Gone)?;
        }
    }

    async fn look_at_question(&self, log: &Name) -> Result<Option<Reply>, LogError> {
        let batch = self.log.read(log, 0, ALL).await?;
        Ok(batch.entries.first().map(|entry| match decode_message(&entry.record.data) {
            Some((SessionMessage { payload, end: true, error, .. }, _)) => {
                Reply::Answered(error.map_or(Ok(payload), Err))
            }
            Some((SessionMessage { error: Some(_), .. }, _)) => Reply::Unsupported,
            _ => Reply::Withdrawn,
        }))
    }

    /// Takes the answer in: what comes from now on finds no question.
    async fn answered(&self, log: &Name, reply: Reply) -> Result<Payload, Unanswered> {
        let _ = self.log.remove(vec![log.clone()]).await;
        match reply {
            Reply::Answered(Ok(payload)) => Ok(payload),
            Reply::Answered(Err(AnswerError { code, message })) => Err(Unanswered::Refused { code, message }),
            Reply::Unsupported => Err(Unanswered::Unsupported),
            // Nobody else does that.
            Reply::Withdrawn => Err(Unanswered::Stopped),
        }
    }

    /// Nobody waits any more, unless an answer was faster. What was withdrawn is remembered until every connection of the
    /// session that may not have heard of it is gone (clause `question.withdrawn`).
    async fn withdraw(&self, log: &Name, why: Unanswered) -> Result<Payload, Unanswered> {
        match self.write_reply(log, false, None, Payload::null()).await {
            Ok(()) => {
                let _ = self.log.keep(vec![log.clone()], self.config.session_ttl * 2).await;
                Err(why)
            }
            Err(LogError::Moved) => match self.look_at_question(log).await {
                Ok(Some(reply)) => self.answered(log, reply).await,
                _ => Err(why),
            },
            Err(_) => Err(why),
        }
    }

    async fn write_reply(
        &self,
        log: &Name,
        end: bool,
        error: Option<AnswerError>,
        payload: Payload,
    ) -> Result<(), LogError> {
        let reply = SessionMessage { event: String::new(), payload, re: None, end, error, asks: false };
        let reply = Record::new(encode_message(&reply, Moment::now()));
        self.log.append(vec![Append::to(log.clone(), vec![reply]).existing().at_head(0)]).await.map(drop)
    }

    /// The client does not answer this: whoever asked is told (clause `question.asks`). What was answered stays so.
    pub(super) async fn unsupported(&self, address: &Address, offset: u64) {
        let error = AnswerError { code: "unsupported".to_owned(), message: String::new() };
        let _ = self.write_reply(&address.question(offset), false, Some(error), Payload::null()).await;
    }

    /// The questions of a session whose logs are there.
    pub(super) async fn questions(&self, address: &Address) -> Result<Vec<(u64, Name)>, LogError> {
        self.numbered(&address.questions()).await
    }

    /// The questions that this process waits for: they are kept as long as it does.
    pub(crate) fn asked(&self) -> MutexGuard<'_, HashSet<Name>> {
        // Each step leaves it whole.
        self.asked.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody waits for an answer to this question.
    pub(super) async fn is_asked(&self, address: &Address, offset: u64) -> Result<bool, LogError> {
        match self.log.read(&address.question(offset), 0, NONE).await {
            Ok(batch) => Ok(batch.head == 0),
            Err(LogError::Missing) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Questions {
    /// What a connection that resumes a session finds: those up to `inbox`, which its client has. Tells which of them were
    /// withdrawn.
    pub(super) async fn resumed(
        &mut self,
        store: &SessionStore,
        address: &Address,
        inbox: u64,
        answers: bool,
    ) -> Result<Vec<u64>, LogError> {
        let mut withdrawn = Vec::new();
        for (offset, log) in store.questions(address).await? {
            if !answers {
                store.unsupported(address, offset).await;
            } else if offset <= inbox && !self.follow(store, address, offset).await? {
                match store.look_at_question(&log).await {
                    // Whoever asked will know.
                    Ok(Some(Reply::Answered(_))) => {}
                    Ok(_) | Err(LogError::Missing) => withdrawn.push(offset),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(withdrawn)
    }

    /// A question was delivered. Tells whether anybody waits for its answer.
    pub(super) async fn follow(
        &mut self,
        store: &SessionStore,
        address: &Address,
        offset: u64,
    ) -> Result<bool, LogError> {
        if self.open.iter().any(|(open, _)| *open == offset) {
            return Ok(true);
        }
        let news = match store.log.subscribe(&address.question(offset)).await {
            Ok(news) => news,
            Err(LogError::Missing) => return Ok(false),
            Err(error) => return Err(error),
        };
        let open = news.borrow().offset == 0;
        if open {
            self.open.push((offset, news));
        }
        Ok(open)
    }

    /// These were answered on this connection.
    pub(super) fn answered(&mut self, offsets: &[u64]) {
        self.open.retain(|(offset, _)| !offsets.contains(offset));
    }

    /// Ends when something may have become of one of them.
    pub(super) async fn moved(&mut self) {
        if self.open.is_empty() {
            return std::future::pending().await;
        }
        let news = self.open.iter_mut().map(|(_, news)| news.changed().boxed());
        let _ = futures::future::select_all(news).await;
    }

    /// Those that nobody waits for any more.
    pub(super) fn look(&mut self) -> Vec<u64> {
        let over = |news: &watch::Receiver<Head>| news.has_changed().is_err() || news.borrow().offset > 0;
        self.open.extract_if(.., |(_, news)| over(news)).map(|(offset, _)| offset).collect()
    }
}

/// What the first of several answers in one step brings to its question.
pub(super) fn append(address: &Address, send: &Send) -> Option<Append> {
    let reply = SessionMessage {
        event: String::new(),
        payload: send.payload.clone(),
        re: Some(send.id),
        end: true,
        error: send.error.clone(),
        asks: false,
    };
    let reply = Record::new(encode_message(&reply, Moment::now()));
    Some(Append::to(address.question(send.re?), vec![reply]).existing().at_head(0))
}

/// Ends when the session does.
async fn gone(inbox: &mut watch::Receiver<Head>) {
    while inbox.changed().await.is_ok() {}
}

fn failed(error: LogError) -> Unanswered {
    match error {
        LogError::Missing => Unanswered::Gone,
        _ => Unanswered::Undeliverable(Undeliverable::Unavailable),
    }
}
