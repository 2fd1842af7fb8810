//! A server's core and a driver for it: keeps what was written and told, decides nothing by itself. What no server may
//! ever do is checked at each step.

use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{Bye, Hello, ServerFrame, SessionGrant};
use readywire_protocol::server::{Bound, Ending, ServerConnection, ServerEvent, Transmit};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};

use crate::frames;
use crate::near::milliseconds;

#[derive(Clone, Debug)]
pub(crate) struct Far {
    pub(crate) core: ServerConnection,
    pub(crate) now: Instant,
    pub(crate) written: Vec<ServerFrame>,
    pub(crate) closed: Option<(u16, String)>,
    pub(crate) events: Vec<ServerEvent>,
    pub(crate) said_ready: bool,
}

/// What a driver with sessions confirms.
pub(crate) fn bound() -> Bound {
    Bound {
        session: Some(SessionGrant { id: "s-1".to_owned(), ..frames::grant(false) }),
        received: 0,
        refused: Vec::new(),
        inbox: 0,
        impaired: Vec::new(),
        token_expires_in: None,
    }
}

impl Far {
    /// A connection that was just accepted, to which these subprotocols were offered.
    pub(crate) fn offered(config: ServerConfig, protocols: &[&str]) -> Self {
        let now = Instant::default();
        let core = ServerConnection::new(config, now, "c-1".to_owned(), protocols.iter().copied());
        let mut far = Self { core, now, written: Vec::new(), closed: None, events: Vec::new(), said_ready: false };
        far.settle();
        far
    }

    /// A connection that waits for its hello.
    pub(crate) fn waiting() -> Self {
        let mut far = Self::offered(ServerConfig::default(), &["readywire.v1"]);
        far.forget();
        far
    }

    /// A connection at `stage` whose client speaks every level, with nothing left to look at.
    pub(crate) fn at(stage: Stage) -> Self {
        Self::with(ServerConfig::default(), stage, frames::hello())
    }

    pub(crate) fn with(config: ServerConfig, stage: Stage, hello: Hello) -> Self {
        let mut far = Self::offered(config, &["readywire.v1"]);
        far.hears(&readywire_protocol::frame::ClientFrame::Hello(Box::new(hello)).encode());
        if stage >= Stage::Authenticated {
            far.core.authenticated(far.now);
        }
        if stage >= Stage::ServicesReady {
            far.core.services_ready(far.now);
        }
        if stage.is_ready() {
            let impaired = if stage == Stage::Degraded { vec!["search".to_owned()] } else { Vec::new() };
            far.core.ready(Bound { impaired, ..bound() });
        }
        far.settle();
        assert_eq!(far.core.stage(), stage);
        far.forget();
        far
    }

    pub(crate) fn ready() -> Self {
        Self::at(Stage::ProcessingReady)
    }

    pub(crate) fn hears(&mut self, text: &str) {
        self.core.handle_message(self.now, text);
        self.settle();
    }

    pub(crate) fn hears_binary(&mut self, message: Vec<u8>) {
        self.core.handle_binary(self.now, message);
        self.settle();
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.core.handle_timeout(self.now);
        self.settle();
    }

    pub(crate) fn timer(&self) -> Option<Duration> {
        self.core.poll_timeout().map(|at| at.saturating_since(self.now))
    }

    /// The next timer runs out in just `after`: not a millisecond earlier, when nothing may happen.
    pub(crate) fn expires_in(&mut self, after: Duration) {
        assert_eq!(self.timer(), Some(after), "the next timer");
        self.now = self.now + (after - milliseconds(1));
        let before = self.core.clone();
        self.core.handle_timeout(self.now);
        assert_eq!(self.core, before, "nothing happens before the timer runs out");
        self.pass(milliseconds(1));
    }

    pub(crate) fn settle(&mut self) {
        while let Some(transmit) = self.core.poll_transmit() {
            assert!(self.closed.is_none(), "nothing comes after the close frame: {transmit:?}");
            let read = match &transmit {
                Transmit::Text(text) => Some(ServerFrame::decode(text)),
                Transmit::Binary(message) => Some(ServerFrame::decode_binary(message.clone())),
                Transmit::Close { .. } => None,
            };
            match transmit {
                Transmit::Text(_) | Transmit::Binary(_) => {
                    let frame = read.expect("a frame").expect("the server writes what can be read");
                    use ServerFrame::{Bye, Ping, Pong, Ready, Stage};
                    let early = matches!(frame, Stage(_) | Ping { .. } | Pong { .. } | Bye(_));
                    self.said_ready |= matches!(frame, Ready(_));
                    assert!(early || self.said_ready, "an application frame before ready: {frame:?}");
                    self.written.push(frame);
                }
                Transmit::Close { code, reason } => {
                    let legal = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
                    assert!(legal && reason.len() <= 123, "no close frame has {code} {reason}");
                    self.closed = Some((code, reason));
                }
            }
        }
        while let Some(event) = self.core.poll_event() {
            let over = self.events.iter().any(|event| matches!(event, ServerEvent::Closed(_)));
            assert!(!over, "after the end: {event:?}");
            self.events.push(event);
        }
    }

    pub(crate) fn writes(&mut self) -> Vec<ServerFrame> {
        self.settle();
        std::mem::take(&mut self.written)
    }

    pub(crate) fn tells(&mut self) -> Vec<ServerEvent> {
        std::mem::take(&mut self.events)
    }

    /// The last words, just before the close frame.
    pub(crate) fn bye(&self) -> Option<&Bye> {
        match self.written.last() {
            Some(ServerFrame::Bye(bye)) => Some(bye),
            _ => None,
        }
    }

    pub(crate) fn ending(&self) -> Option<&Ending> {
        match self.events.last() {
            Some(ServerEvent::Closed(ending)) => Some(ending),
            _ => None,
        }
    }

    pub(crate) fn forget(&mut self) {
        self.settle();
        self.written.clear();
        self.events.clear();
    }
}
