//! What outlives a connection: the sends, the answers, the inbox, the session itself, and the will to come back.

mod announcing;
mod attempt;
mod carrying;
mod dialling;
mod ending;
mod flush;
mod former;
mod handover;
mod history;
mod inbound;
mod questions;
mod readiness;
mod refresh;
mod sending;
mod streams;
mod topics;

pub(super) use announcing::announce;
pub(super) use questions::Reply;
pub(super) use streams::InStream;

use super::address;
use super::backoff::Backoff;
use super::carried::Carried;
use super::connection::{Connection, Inbound, Received};
use super::event::{
    AnswerPart, ClientEvent, ClientState, Command, End, Outcome, Page, PagedPublication, Position, Rejection,
    SendOptions, Start, StateChange, TokenResult,
};
use super::outbox::{self, Entries, Entry, Outbox};
use super::queue::Queue;
use crate::capability::{self, TOPICS};
use crate::clause::Clause;
use crate::close::{self, Class, CloseFrame};
use crate::config::{ClientConfig, Window};
use crate::error::PeerMisbehaved;
use crate::frame::{
    self, AnswerError, Auth, Bye, ClientFrame, Hello, Limits, Message, Ready, Refusal, Resume, ServerFrame,
    SessionGrant, TokenNews, Wire,
};
use crate::json::Payload;
use crate::stage::Stage;
use crate::text::joined;
use crate::time::{Duration, Instant, earliest};
use crate::{HELLO_ENTRY_BYTES, HELLO_PREFIX, SUBPROTOCOL, base64url};
use attempt::{Attempt, Phase};
use ending::Loss;
use former::{Former, Parting};
use history::History;
use questions::Questions;
use streams::Streams;
use topics::Topics;

/// How many connections may end on the oldest undecided send before it is given up (clause `send.three_connections`).
const MAX_LOSSES: u32 = 3;
/// How often a refused send is offered anew (clause `nack.degraded`).
const MAX_REOFFERS: u32 = 3;

/// The client's end of the protocol.
///
/// After every call, drain [`Client::poll_command`] and carry each command out, then drain [`Client::poll_event`],
/// then sleep until the next input or until [`Client::poll_timeout`]. Calling late, early or twice does no harm;
/// what a connection brings after its end is dropped by its number.
///
/// ```
/// use readywire_protocol::client::{Client, Command};
/// use readywire_protocol::config::ClientConfig;
/// use readywire_protocol::time::Instant;
///
/// let mut client = Client::new(ClientConfig::default(), 7);
/// client.connect(Instant::default());
/// assert!(matches!(client.poll_command(), Some(Command::AskToken { number: 1 })));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    config: ClientConfig,
    /// The connection that the application's messages go through, or what will become it.
    current: Attempt,
    /// What takes its place while its server goes away (clause `drain.next`).
    next: Option<Box<Attempt>>,
    /// When that begins.
    handover_at: Option<Instant>,
    /// Where that goes, if the server named a place that may be followed.
    alternate: Option<String>,
    /// What was left together with its session, and still decides what was written there.
    former: Option<Box<Former>>,
    /// The number of the latest attempt.
    number: u64,
    /// Whether the last upgrade that was tried worked, so that the next may carry the hello.
    upgrade_works: bool,
    /// An attempt of this client came after that of `current`: to be fenced is its doing.
    superseded: bool,
    session: Option<Session>,
    /// Whom the last ready belonged to.
    subject: Option<String>,
    next_id: u64,
    inbox: Inbox,
    outbox: Outbox,
    answers: Vec<OpenAnswer>,
    topics: Topics,
    history: History,
    streams: Streams,
    questions: Questions,
    backoff: Backoff,
    /// How many refreshes were begun; names each.
    refreshes: u64,
    progress_deadline: Option<Instant>,
    closing: Option<Instant>,
    last_stage: Stage,
    last_pending: Vec<String>,
    ended_with: Option<(u16, String)>,
    announced: Option<StateChange>,
    /// What was last told to be stored.
    carried: Option<Carried>,
    commands: Queue<Command>,
    events: Queue<ClientEvent>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Session {
    id: String,
    token: String,
    attempt: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Inbox {
    /// The last offset that the application has.
    held: u64,
    /// The last one that came on this connection, or that its hello named.
    seen: u64,
    told: u64,
    untold_bytes: u64,
    deadline: Option<Instant>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct OpenAnswer {
    handle: u64,
    id: u64,
    cancelled: bool,
}

impl Client {
    /// A client that has not begun to connect. `seed` is for jitter alone: draw it at random.
    // Once in the browser bundle, and not in each place that makes one.
    #[inline(never)]
    pub fn new(config: ClientConfig, seed: u64) -> Self {
        Self {
            config,
            current: Attempt::new(0, Phase::Idle),
            next: None,
            handover_at: None,
            alternate: None,
            former: None,
            number: 0,
            upgrade_works: true,
            superseded: false,
            session: None,
            subject: None,
            next_id: 1,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            answers: Vec::new(),
            topics: Topics::default(),
            history: History::default(),
            streams: Streams::default(),
            questions: Questions::default(),
            backoff: Backoff::new(seed),
            refreshes: 0,
            progress_deadline: None,
            closing: None,
            last_stage: Stage::Connecting,
            last_pending: Vec::new(),
            ended_with: None,
            announced: None,
            carried: None,
            commands: Queue::new(),
            events: Queue::new(),
        }
    }

    /// Begins to connect; does nothing if that was done before.
    pub fn connect(&mut self, now: Instant) {
        if self.current.phase == Phase::Idle {
            self.retry(now, self.current.number);
            self.announce();
        }
    }

    /// Ends the session: refuses new sends, lets what is under way be decided until `deadline`, then says `bye`.
    pub fn close(&mut self, now: Instant, deadline: Duration) {
        if self.current.phase == Phase::Ended {
            return;
        }
        self.closing = Some(self.closing.map_or(now + deadline, |earlier| earlier.min(now + deadline)));
        // What has not reached a server need not any more; what has may have the session already.
        self.handover_at = None;
        self.next = self.next.take().filter(|next| next.has_socket());
        self.finish_closing(now);
        self.announce();
    }

    /// Answers [`Command::AskToken`].
    pub fn provide_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        let asking = |attempt: &&mut Attempt| matches!(attempt.phase, Phase::AskingToken { .. });
        let Some(attempt) = self.attempt(number).filter(asking) else { return };
        match token {
            Ok(token) => {
                attempt.token = token;
                self.dial(now, number);
            }
            Err(failure) => {
                let class = if failure.fatal { Class::Stop } else { Class::Backoff };
                let reason = joined(&["no token: ", &failure.message]);
                self.lost(now, number, Loss { class, ..Loss::local(close::TOKEN_MISSING, reason) });
            }
        }
        self.announce();
    }

    /// The page became visible, the network changed or the machine woke up: probes the connection, or retries now.
    pub fn wake(&mut self, now: Instant) {
        match (&self.current.phase, &mut self.current.connection) {
            (Phase::Waiting { .. }, _) => {
                self.retry(now, self.current.number);
                self.announce();
            }
            (_, Some(connection)) => connection.probe(now + self.config.probe_timeout),
            _ => {}
        }
        // What should have begun while time stood still.
        self.refresh(now);
    }

    /// The WebSocket handshake is done, and the server selected `protocol`.
    pub fn handle_open(&mut self, now: Instant, number: u64, protocol: &str) {
        let dialling = |attempt: &&mut Attempt| matches!(attempt.phase, Phase::Dialling { .. });
        let Some(attempt) = self.attempt(number).filter(dialling) else { return };
        let greeted = attempt.hello_rides;
        if protocol == SUBPROTOCOL {
            let hello = if greeted { None } else { Some(self.hello(number)) };
            let hello_bytes = hello.as_ref().map_or(0, String::len);
            let connection = Connection::new(&self.config, now, number, hello);
            if let Some(attempt) = self.attempt(number) {
                attempt.phase = Phase::Open;
                attempt.connection = Some(connection);
            }
            self.ask_early(number, hello_bytes);
        } else {
            let reason = "the server does not select `readywire.v1`: readiness would be unconfirmed";
            self.drop_connection(now, number, Loss::local(close::NO_COMMON_PROTOCOL, reason));
        }
        self.announce();
    }

    /// A text message came.
    pub fn handle_message(&mut self, now: Instant, number: u64, text: &str) {
        self.receive(now, number, Received::Text(text));
    }

    /// A binary message came.
    pub fn handle_binary(&mut self, now: Instant, number: u64, message: Vec<u8>) {
        self.receive(now, number, Received::Binary(message));
    }

    fn receive(&mut self, now: Instant, number: u64, received: Received<'_>) {
        let is_current = self.current.number == number;
        let attempt = attempt::find(&mut self.current, &mut self.next, number);
        if let Some(connection) = attempt.and_then(|attempt| attempt.connection.as_mut()) {
            let result = match connection.receive(&self.config, now, received) {
                Err(misbehaved) => Err(misbehaved),
                Ok(Inbound::StageChanged) if is_current => {
                    self.last_stage = connection.stage;
                    self.last_pending = connection.pending.clone();
                    self.release_held(now);
                    Ok(())
                }
                Ok(Inbound::Handled | Inbound::StageChanged) => Ok(()),
                Ok(Inbound::Ready(ready)) => self.confirmed(now, number, *ready),
                // Before `ready` there are none, so that they come to the current one alone.
                Ok(Inbound::Application(frame)) => self.application(now, frame),
                Ok(Inbound::Bye(bye)) => {
                    // The first reason learned; a close frame is the answer, and nothing else (clause `close.bye_first`).
                    self.cut_connection(now, number, Loss::told(bye));
                    Ok(())
                }
            };
            if let Err(misbehaved) = result {
                self.violated(now, number, misbehaved);
            }
        } else if self.is_former(number) {
            self.former_says(now, received);
        } else {
            return;
        }
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }

    /// The socket is gone, or never came to be. `None` stands for an end without a close frame.
    pub fn handle_closed(&mut self, now: Instant, number: u64, frame: Option<CloseFrame>) {
        if self.is_former(number) {
            return self.former_is_gone(now, Parting::Gone);
        }
        let Some(attempt) = self.attempt(number).filter(|attempt| attempt.has_socket()) else { return };
        let dialling = matches!(attempt.phase, Phase::Dialling { .. });
        let mut loss = match frame {
            Some(frame) => Loss::local(frame.code, frame.reason),
            None if dialling => Loss::local(1006, ""),
            None => Loss::local(1006, "the connection broke off"),
        };
        if dialling && loss.reason.is_empty() {
            loss.reason = "the WebSocket could not be opened".to_owned();
        }
        self.lost(now, number, loss);
        self.announce();
    }

    /// The deadline that `poll_timeout` named may have passed.
    pub fn handle_timeout(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        for entry in self.outbox.expired(now) {
            let outcome = entry.refusal.clone().map_or(Outcome::Expired, Outcome::Refused);
            self.settle_unwritten(&entry, "session_lost", outcome);
        }
        if due(self.inbox.deadline) {
            self.tell_taken();
        }
        if due(self.topics.deadline) {
            self.tell_topics(None);
        }
        while let Some((handle, _)) = self.page_due().filter(|(_, at)| *at <= now) {
            self.forget_page(handle, "timeout", true);
        }
        let next = self.next.as_ref().map(|next| next.number);
        for number in [Some(self.current.number), next].into_iter().flatten() {
            self.attempt_due(now, number);
        }
        self.refresh(now);
        if due(self.handover_at) {
            self.hand_over(now);
        }
        if due(self.progress_deadline) {
            let loss = Loss::local(close::NO_PROGRESS, "no send was decided for too long");
            self.drop_connection(now, self.current.number, loss);
        }
        if due(self.former.as_ref().and_then(|former| former.deadline())) {
            self.former_is_gone(now, Parting::Leave);
        }
        self.release_held(now);
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }

    /// What the driver has to do next.
    pub fn poll_command(&mut self) -> Option<Command> {
        if let Some(command) = self.commands.pop() {
            return Some(command);
        }
        let Self { current, next, former, .. } = self;
        let next = next.as_mut().and_then(|next| next.connection.as_mut());
        let former = former.as_mut().map(|former| &mut former.connection);
        [current.connection.as_mut(), next, former].into_iter().flatten().find_map(|connection| {
            let number = connection.number;
            connection.poll_transmit().map(|wire| Command::of(number, wire))
        })
    }

    /// When `handle_timeout` is to be called, if nothing comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        if self.current.phase == Phase::Ended {
            return None;
        }
        let mut earliest_of_all = self.outbox.next_due();
        for deadline in [
            self.current.deadline(),
            self.next.as_ref().and_then(|next| next.deadline()),
            self.refresh_deadline(),
            self.handover_at,
            self.former.as_ref().and_then(|former| former.deadline()),
            self.inbox.deadline,
            self.topics.deadline,
            self.page_due().map(|(_, at)| at),
            self.progress_deadline,
            self.closing,
        ] {
            earliest_of_all = earliest(earliest_of_all, deadline);
        }
        earliest_of_all
    }

    /// What happened, for the application.
    pub fn poll_event(&mut self) -> Option<ClientEvent> {
        self.events.pop()
    }

    /// The state now.
    pub fn state(&self) -> ClientState {
        match (&self.current.phase, &self.current.connection) {
            (Phase::Ended, _) => ClientState::Closed,
            (_, Some(connection)) => ClientState::of(connection.stage),
            _ => ClientState::Connecting,
        }
    }

    /// Sends without an outcome: those waiting and those written.
    pub fn unsettled(&self) -> usize {
        let former = self.former.as_ref().map_or(0, |former| former.written.len());
        self.outbox.waiting.len() + self.outbox.written.iter().filter(|entry| !entry.given_up).count() + former
    }
}
