//! One connection, from the open socket to its end: stages, the gate, liveness.

use super::queue::Queue;
use super::refresh::Refresh;
use crate::capability::{BINARY, QUESTIONS, REFRESH, STREAMS, TOPICS};
use crate::clause::Clause;
use crate::config::ClientConfig;
use crate::error::PeerMisbehaved;
use crate::frame::{Bye, ClientFrame, Heartbeat, Limits, Ready, ServerFrame, StageNews, Wire};
use crate::stage::{Stage, Step};
use crate::text::joined;
use crate::time::{Duration, Instant, earliest};

/// A message as it came.
pub(super) enum Received<'a> {
    Text(&'a str),
    Binary(Vec<u8>),
}

/// What a message was to the connection.
pub(super) enum Inbound {
    /// Nothing for anybody else.
    Handled,
    /// Stage, pending or impaired changed.
    StageChanged,
    /// The server confirmed that it will process the next message.
    Ready(Box<Ready>),
    /// For the session.
    Application(ServerFrame),
    /// The last words.
    Bye(Bye),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Connection {
    pub(super) number: u64,
    pub(super) stage: Stage,
    pub(super) id: Option<String>,
    pub(super) pending: Vec<String>,
    pub(super) impaired: Vec<String>,
    pub(super) reason: Option<String>,
    limits: Option<Limits>,
    resume: bool,
    answers: bool,
    /// Fresh tokens, if that was agreed on.
    refresh: Option<Refresh>,
    binary: bool,
    topics: bool,
    streams: bool,
    questions: bool,
    silence: Option<Duration>,
    last_heard: Instant,
    stage_deadline: Option<Instant>,
    ready_deadline: Instant,
    probe_deadline: Option<Instant>,
    transmits: Queue<Wire>,
}

/// The right to write application frames: exists only while the server has confirmed readiness on this connection
/// (clause `ready.gate`).
pub(super) struct ReadyConnection<'a> {
    transmits: &'a mut Queue<Wire>,
    pub(super) limits: Limits,
    /// Whether the server keeps sessions, and so remembers keys.
    pub(super) resume: bool,
    /// Whether the server answers sends.
    pub(super) answers: bool,
    /// Whether payloads may be bytes.
    pub(super) binary: bool,
    /// Whether the server has topics.
    pub(super) topics: bool,
    /// Whether its handlers read streams.
    pub(super) streams: bool,
    /// Whether it asks questions.
    pub(super) questions: bool,
}

impl ReadyConnection<'_> {
    pub(super) fn write(&mut self, frame: &ClientFrame) {
        self.write_wire(Wire::Text(frame.encode()));
    }

    pub(super) fn write_wire(&mut self, wire: Wire) {
        self.transmits.push(wire);
    }
}

impl Connection {
    /// The socket is open. That is not readiness: at most the hello goes out.
    pub(super) fn new(config: &ClientConfig, now: Instant, number: u64, hello: Option<String>) -> Self {
        let mut transmits = Queue::new();
        if let Some(hello) = hello {
            transmits.push(Wire::Text(hello));
        }
        Self {
            number,
            stage: Stage::Connecting,
            id: None,
            pending: Vec::new(),
            impaired: Vec::new(),
            reason: None,
            limits: None,
            resume: false,
            answers: false,
            refresh: None,
            binary: false,
            topics: false,
            streams: false,
            questions: false,
            silence: None,
            last_heard: now,
            stage_deadline: Some(now + config.stage_timeout),
            ready_deadline: now + config.ready_cap,
            probe_deadline: None,
            transmits,
        }
    }

    pub(super) fn ready(&mut self) -> Option<ReadyConnection<'_>> {
        let limits = self.limits.filter(|_| self.stage.is_ready())?;
        let (resume, answers, topics, binary) = (self.resume, self.answers, self.topics, self.binary);
        let (streams, questions, transmits) = (self.streams, self.questions, &mut self.transmits);
        Some(ReadyConnection { transmits, limits, resume, answers, topics, binary, streams, questions })
    }

    /// Fresh tokens, if that was agreed on.
    pub(super) fn refresh(&self) -> Option<&Refresh> {
        self.refresh.as_ref().filter(|_| REFRESH)
    }

    /// The same, to go on with it.
    pub(super) fn refresh_mut(&mut self) -> Option<&mut Refresh> {
        self.refresh.as_mut().filter(|_| REFRESH)
    }

    /// Writes a `subscribe` behind the hello; nothing else may pass before `ready` (clause `ready.gate`).
    pub(super) fn write_early(&mut self, subscribe: String) {
        self.transmits.push(Wire::Text(subscribe));
    }

    pub(super) fn bye(&mut self, bye: Bye) {
        self.write(&ClientFrame::Bye(bye));
    }

    fn write(&mut self, frame: &ClientFrame) {
        self.transmits.push(Wire::Text(frame.encode()));
    }

    pub(super) fn poll_transmit(&mut self) -> Option<Wire> {
        self.transmits.pop()
    }

    /// Asks whether anybody is there; silence until `deadline` means no (clause `heartbeat.probe`).
    pub(super) fn probe(&mut self, deadline: Instant) {
        if self.stage.is_ready() && self.probe_deadline.is_none() {
            self.probe_deadline = Some(deadline);
            self.write(&ClientFrame::Ping { nonce: "probe".to_owned() });
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let before_ready = self.stage_deadline.map(|deadline| deadline.min(self.ready_deadline));
        earliest(earliest(before_ready, self.probe_deadline), self.silence.map(|silence| self.last_heard + silence))
    }

    pub(super) fn receive(
        &mut self,
        config: &ClientConfig,
        now: Instant,
        received: Received<'_>,
    ) -> Result<Inbound, PeerMisbehaved> {
        self.last_heard = now;
        self.probe_deadline = None;
        let frame = match received {
            Received::Text(text) => ServerFrame::decode(text)?,
            Received::Binary(_) if !BINARY || !self.binary || !self.stage.is_ready() => {
                return Err(PeerMisbehaved::new(Clause::FrameText, "a binary message, which nobody agreed to"));
            }
            Received::Binary(message) => ServerFrame::decode_binary(message)?,
        };
        match frame {
            ServerFrame::Stage(news) => self.staged(config, now, news),
            ServerFrame::Ready(ready) => self.confirmed(ready),
            ServerFrame::Ping { nonce } => {
                self.write(&ClientFrame::Pong { nonce });
                Ok(Inbound::Handled)
            }
            ServerFrame::Pong { .. } => Ok(Inbound::Handled),
            ServerFrame::Bye(bye) => Ok(Inbound::Bye(bye)),
            _ if self.stage == Stage::Connecting => {
                Err(PeerMisbehaved::new(Clause::StageAccepted, "the server's first frame is not `stage ACCEPTED`"))
            }
            _ if !self.stage.is_ready() => {
                Err(PeerMisbehaved::new(Clause::ReadyGate, "the server sent an application frame before `ready`"))
            }
            frame => Ok(Inbound::Application(frame)),
        }
    }

    fn staged(&mut self, config: &ClientConfig, now: Instant, news: StageNews) -> Result<Inbound, PeerMisbehaved> {
        let step = self.stage.announced(news.stage).map_err(|clause| {
            out_of_order(clause, joined(&["`stage ", news.stage.name(), "` after ", self.stage.name()]))
        })?;
        if news.stage == Stage::Degraded && news.impaired.is_empty() {
            return Err(PeerMisbehaved::new(Clause::StageDegraded, "`stage DEGRADED` names no impaired service"));
        }
        // Which services are pending counts, and not their order.
        let others = |ours: &[String], theirs: &[String]| ours.iter().any(|name| !theirs.contains(name));
        let changed = others(&news.pending, &self.pending) || others(&self.pending, &news.pending);
        let progress = step == Step::Advance || changed;
        self.stage = news.stage;
        self.reason = news.reason;
        self.id = news.connection.or(self.id.take());
        self.pending = news.pending;
        self.impaired = news.impaired;
        if self.stage.is_ready() {
            return Ok(Inbound::StageChanged);
        }
        if progress {
            // Only progress moves the deadline, so that a server cannot say "soon" for ever (clause `stage.progress`).
            let budget =
                news.deadline_ms.map(|budget| Duration::from_millis(budget).saturating_add(config.stage_grace));
            self.stage_deadline = Some(now + budget.unwrap_or(config.stage_timeout));
        }
        Ok(Inbound::StageChanged)
    }

    fn confirmed(&mut self, mut ready: Box<Ready>) -> Result<Inbound, PeerMisbehaved> {
        let stage = self
            .stage
            .confirmed()
            .map_err(|clause| out_of_order(clause, joined(&["`ready` after ", self.stage.name()])))?;
        let listed = |level: &str| ready.capabilities.iter().any(|listed| listed == level);
        let resume = listed("resume");
        let answers = resume && listed("answers");
        let binary = BINARY && listed("binary");
        let topics = TOPICS && listed("topics");
        if resume && ready.session.is_none() {
            return Err(PeerMisbehaved::new(Clause::FrameField, "`session` is missing, though Resume was agreed on"));
        }
        let Heartbeat { interval_ms, timeout_ms } = ready.heartbeat;
        self.stage = if ready.impaired.is_empty() { stage } else { Stage::Degraded };
        self.impaired = ready.impaired.clone();
        self.pending.clear();
        self.reason = None;
        self.stage_deadline = None;
        self.limits = Some(ready.limits);
        self.resume = resume;
        self.answers = answers;
        self.refresh = (REFRESH && listed("refresh")).then(Refresh::default);
        self.binary = binary;
        self.topics = topics;
        self.streams = STREAMS && answers && listed("streams");
        self.questions = QUESTIONS && resume && listed("questions");
        if !resume {
            // Fields of a level that was not agreed on are ignored (clause `frame.level`).
            ready.session = None;
            ready.received = 0;
            ready.refused.clear();
        }
        self.silence = Some(Duration::from_millis(interval_ms.saturating_add(timeout_ms)));
        Ok(Inbound::Ready(ready))
    }
}

/// A step that breaks one of these clauses: each is a constant here, for the sake of what a page has to load.
fn out_of_order(clause: Clause, found: String) -> PeerMisbehaved {
    match clause {
        Clause::StageAccepted => PeerMisbehaved::new(Clause::StageAccepted, found),
        Clause::ReadyOnce => PeerMisbehaved::new(Clause::ReadyOnce, found),
        _ => PeerMisbehaved::new(Clause::StageOrder, found),
    }
}
