//! Where an application plugs in: one [`Handler`] per event.
//!
//! A handler starts in the order of its session's ids: what it does before its first real wait is done before the
//! next one starts. After that it runs by itself, and outlives the connection that asked.

use crate::parts::{BrokenOff, Parts};
use crate::topics::TopicPolicy;
use futures::future::BoxFuture;
use readywire_protocol::frame::AnswerError;
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What an application does with the messages of one event.
pub trait Handler: Send + Sync + 'static {
    /// The services that it cannot do without: while one is impaired, its messages are refused for a while.
    fn requires(&self) -> &[&str] {
        &[]
    }

    /// Whether it takes this message of `subject` at all. What it does not take the client hears of at once, by a
    /// refusal with this code, and nothing of it is processed.
    ///
    /// # Errors
    /// Why not.
    fn admit(&self, subject: &str, payload: &Payload) -> Result<(), Rejection> {
        let _ = (subject, payload);
        Ok(())
    }

    /// Processes one message, which was taken: it will not come again.
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>>;
}

/// Why a handler does not take a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// For a program.
    pub code: String,
    /// For a person.
    pub message: String,
    /// Whether the same may work later.
    pub retry: bool,
    /// Not before so long.
    pub retry_after: Option<Duration>,
}

impl Rejection {
    /// The same would be refused again.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), retry: false, retry_after: None }
    }

    /// The same may work later.
    #[must_use]
    pub fn retry(self) -> Self {
        Self { retry: true, ..self }
    }

    /// The same may work in so long: what a limit on how often something is sent would say.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry: true, retry_after: Some(wait), ..self }
    }
}

/// One message.
pub struct Request {
    /// Who sent it.
    pub subject: String,
    /// In which session.
    pub session: String,
    /// Its id there.
    pub id: u64,
    /// What it is.
    pub event: String,
    /// JSON or bytes, as it came.
    pub payload: Payload,
    /// What follows it, if it opens a stream.
    pub parts: Parts,
    /// Everybody else.
    pub room: Arc<dyn Room>,
}

impl Request {
    /// The payload, read.
    ///
    /// # Errors
    /// The failure to answer with.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        let unfit = |why: &dyn fmt::Display| Failure::new("bad_payload", format!("{}: {why}", self.event));
        let text = self.payload.text().ok_or_else(|| unfit(&"bytes where JSON was expected"))?;
        serde_json::from_str(text).map_err(|error| unfit(&error))
    }

    /// Asks whoever sent this, and waits for the answer, wherever the session goes meanwhile (level *Questions*). To drop the
    /// future withdraws the question, and so does a client that stops what it asked for.
    ///
    /// ```
    /// use futures::FutureExt;
    /// use futures::future::BoxFuture;
    /// use readywire_server::application::{Answer, Failure, Handler, Request, payload};
    /// use std::time::Duration;
    ///
    /// /// Deletes nothing that nobody permits.
    /// struct Delete;
    ///
    /// impl Handler for Delete {
    ///     fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
    ///         async move {
    ///             let question = payload(&"really?")?;
    ///             let permitted = request.ask("confirm", &question, Duration::from_secs(60)).await?;
    ///             answer.end("deleted", &(permitted.text() == Some("true"))).await
    ///         }
    ///         .boxed()
    ///     }
    /// }
    /// ```
    ///
    /// A page that was loaded again answers what the one before it was asked with [`Unanswered::Refused`] and the code
    /// `unhandled`. It may be asked again, and know.
    ///
    /// # Errors
    /// Why there is no answer.
    pub fn ask<'a>(
        &'a self,
        event: &'a str,
        payload: &'a Payload,
        within: Duration,
    ) -> BoxFuture<'a, Result<Payload, Unanswered>> {
        self.room.ask(&self.subject, &self.session, event, payload, within)
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Request({} {} of {})", self.event, self.id, self.subject)
    }
}

/// Who can be written to without being asked.
pub trait Room: Send + Sync {
    /// A message to every session, whichever process has it; tells how many took it.
    ///
    /// # Errors
    /// No session can take it.
    fn to_everyone<'a>(&'a self, event: &'a str, payload: &'a Payload) -> BoxFuture<'a, Result<usize, Undeliverable>>;
    /// A message to every session of a subject; tells how many took it.
    ///
    /// # Errors
    /// No session can take it.
    fn to_subject<'a>(
        &'a self,
        subject: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<usize, Undeliverable>>;
    /// A publication on a topic, for all that follow it, now or later; tells its offset. Calls for one topic are appended
    /// in the order in which they were first polled.
    ///
    /// # Errors
    /// It is on no topic, though perhaps it will be if the log could not be reached.
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: &'a str,
        payload: &'a Payload,
    ) -> BoxFuture<'a, Result<u64, Undeliverable>>;
    /// Ends the subscriptions of a subject to a topic, whichever process has them. The policy has to refuse them by then,
    /// or who was sent away may just subscribe again.
    ///
    /// # Errors
    /// Nobody was told.
    fn revoke<'a>(&'a self, subject: &'a str, topic: &'a str) -> BoxFuture<'a, Result<(), Undeliverable>>;
    /// A question to one session of a subject, whichever process has it, and its answer. To drop the future withdraws it.
    ///
    /// # Errors
    /// Why there is no answer.
    fn ask<'a>(
        &'a self,
        subject: &'a str,
        session: &'a str,
        event: &'a str,
        payload: &'a Payload,
        within: Duration,
    ) -> BoxFuture<'a, Result<Payload, Unanswered>> {
        let _ = (subject, session, event, payload, within);
        Box::pin(std::future::ready(Err(Unanswered::Unsupported)))
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// The time is over.
    Deadline,
    /// The session is over.
    Gone,
    /// Its client does not answer questions.
    Unsupported,
    /// Its client says why: `unhandled` if nothing there answers this event.
    Refused {
        /// For a program.
        code: String,
        /// For a person.
        message: String,
    },
    /// The work that asked was stopped.
    Stopped,
    /// It could not be asked.
    Undeliverable(Undeliverable),
}

impl From<Undeliverable> for Unanswered {
    fn from(undeliverable: Undeliverable) -> Self {
        Self::Undeliverable(undeliverable)
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Deadline => Self::new("unanswered", "nobody answered in time"),
            Unanswered::Gone => Undeliverable::Gone.into(),
            Unanswered::Unsupported => Self::new("unanswered", "the client does not answer questions"),
            Unanswered::Refused { code, message } => Self { code, message },
            Unanswered::Stopped => Self::cancelled(),
            Unanswered::Undeliverable(undeliverable) => undeliverable.into(),
        }
    }
}

/// Where the parts of answers go: the inbox of the session that asked.
pub trait Inbox: Send + Sync {
    /// Appends, waiting for room.
    fn append(&self, message: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>>;
}

/// Why a message gets into no inbox and on no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undeliverable {
    /// The session that asked is over: nobody will read the rest.
    Gone,
    /// As a frame it would be larger than any may be (clause `frame.size`).
    TooLarge,
    /// The application has no topics, or the log that inboxes and topics stand on does not answer.
    Unavailable,
}

/// Why a message came to nothing after it was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// For a program.
    pub code: String,
    /// For a person.
    pub message: String,
}

impl Failure {
    /// A failure.
    pub fn new(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into() }
    }

    /// The client asked to stop.
    pub fn cancelled() -> Self {
        Self::new("cancelled", "stopped on request")
    }
}

/// Whoever stopped knows; if the session is over, nobody is told.
impl From<BrokenOff> for Failure {
    fn from(_: BrokenOff) -> Self {
        Self::cancelled()
    }
}

impl From<Undeliverable> for Failure {
    fn from(undeliverable: Undeliverable) -> Self {
        match undeliverable {
            Undeliverable::Gone => Self::new("session_ended", "the session that asked is over"),
            Undeliverable::TooLarge => Self::new("too_large", "the message would be over `max_message_bytes`"),
            Undeliverable::Unavailable => Self::new("unavailable", "the log of the server does not answer; try again"),
        }
    }
}

/// Any value as a payload.
///
/// # Errors
/// The value is no JSON.
pub fn payload(value: &impl Serialize) -> Result<Payload, Failure> {
    let text = serde_json::to_string(value).map_err(|error| Failure::new("internal", error.to_string()))?;
    Payload::parse(&text).map_err(|error| Failure::new("internal", error.to_string()))
}

/// The answer to one message: any number of parts, then an end, which [`process`] sees to.
pub struct Answer {
    inbox: Arc<dyn Inbox>,
    re: u64,
    wanted: bool,
    ended: bool,
    cancellation: CancellationToken,
}

impl fmt::Debug for Answer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Answer(re {}, wanted {}, ended {})", self.re, self.wanted, self.ended)
    }
}

impl Answer {
    /// An answer to `re`; if it is not `wanted`, only a failure is sent.
    pub fn new(inbox: Arc<dyn Inbox>, re: u64, wanted: bool, cancellation: CancellationToken) -> Self {
        Self { inbox, re, wanted, ended: false, cancellation }
    }

    /// Sends a part.
    ///
    /// # Errors
    /// Nobody is left to read it, or the client asked to stop.
    pub async fn send(&mut self, event: &str, value: &impl Serialize) -> Result<(), Failure> {
        self.part(event, payload(value)?, false).await
    }

    /// Sends the last part.
    ///
    /// # Errors
    /// As [`Answer::send`].
    pub async fn end(&mut self, event: &str, value: &impl Serialize) -> Result<(), Failure> {
        self.part(event, payload(value)?, true).await
    }

    /// Sends a part whose payload is ready.
    ///
    /// # Errors
    /// As [`Answer::send`].
    pub async fn part(&mut self, event: &str, payload: Payload, end: bool) -> Result<(), Failure> {
        if self.cancellation.is_cancelled() {
            return Err(Failure::cancelled());
        }
        if self.ended || !self.wanted {
            return Ok(());
        }
        self.write(event, payload, end, None).await?;
        self.ended = end;
        Ok(())
    }

    /// Set when the client asked to stop, or the session is over.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancellation
    }

    async fn write(&self, event: &str, payload: Payload, end: bool, error: Option<AnswerError>) -> Result<(), Failure> {
        let message = SessionMessage { event: event.to_owned(), payload, re: Some(self.re), end, error, asks: false };
        Ok(self.inbox.append(message).await?)
    }

    async fn finish(mut self, outcome: Result<(), Failure>) {
        if self.ended {
            return;
        }
        self.ended = true;
        // A failure is told even to who wanted no answer: the message had been acknowledged. A stop on request is not.
        let error = match outcome {
            Ok(()) => None,
            // What went wrong may quote what came, in full.
            Err(failure) => Some(AnswerError { code: failure.code, message: start_of(&failure.message) }),
        };
        let failed = error.as_ref().is_some_and(|error| error.code != "cancelled");
        if self.wanted || failed {
            // A session that is over has no reader to tell.
            // An empty event says that there is nothing but the end (clause `answer.end`).
            let _ = self.write("", Payload::null(), true, error).await;
        }
    }
}

/// As much of a text as a person wants to read of what somebody else wrote.
pub(crate) fn start_of(text: &str) -> String {
    const CHARACTERS: usize = 300;
    match text.char_indices().nth(CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Runs a handler to its end, and ends its answer whatever happens, even a panic.
pub async fn process(handler: Arc<dyn Handler>, request: Request, mut answer: Answer) {
    use futures::FutureExt;
    let event = request.event.clone();
    let run = std::panic::AssertUnwindSafe(handler.handle(request, &mut answer)).catch_unwind();
    let outcome = run.await.unwrap_or_else(|_| {
        tracing::error!(event, "a handler panicked");
        Err(Failure::new("internal", "the handler failed"))
    });
    answer.finish(outcome).await;
}

/// Every handler of an application, by event, and who may use which topics.
#[derive(Clone, Default)]
pub struct Application {
    handlers: BTreeMap<String, Arc<dyn Handler>>,
    policy: Option<Arc<dyn TopicPolicy>>,
}

impl fmt::Debug for Application {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.handlers.keys()).finish()
    }
}

impl Application {
    /// An application that knows no event.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler, in place of an earlier one for the same event.
    #[must_use]
    pub fn with(mut self, event: &str, handler: impl Handler) -> Self {
        self.handlers.insert(event.to_owned(), Arc::new(handler));
        self
    }

    /// Has topics, for those whom this policy lets in. Without one, every subscription is refused as unsupported.
    #[must_use]
    pub fn with_topics(mut self, policy: impl TopicPolicy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// Who may use which topics.
    pub fn policy(&self) -> Option<&Arc<dyn TopicPolicy>> {
        self.policy.as_ref()
    }

    /// The handler of an event.
    pub fn handler(&self, event: &str) -> Option<&Arc<dyn Handler>> {
        self.handlers.get(event)
    }
}
