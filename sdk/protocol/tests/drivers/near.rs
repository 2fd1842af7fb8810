//! A client's core and a driver for it: carries commands out, keeps what was written and told, and lets time pass by
//! hand. What no client may ever do is checked at each step.

use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::client::{
    Client, ClientEvent, ClientState, Command, Outcome, Rejection, SendOptions, StateChange,
};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::ClientConfig;
use readywire_protocol::frame::{Auth, Bye, ClientFrame, Hello, Ready, Send, ServerFrame};
use readywire_protocol::json::Payload;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};

use crate::frames;

#[derive(Clone, Debug)]
pub(crate) struct Near {
    pub(crate) client: Client,
    pub(crate) now: Instant,
    /// The attempt that is asking for a token.
    pub(crate) asked: Option<u64>,
    /// The refreshes that ask for a fresh token.
    pub(crate) asked_fresh: Vec<u64>,
    /// The connection that was dialled last, and what it offered.
    pub(crate) number: u64,
    pub(crate) protocols: Vec<String>,
    /// The address that it was sent to, if that is not the one that it was given.
    pub(crate) address: Option<String>,
    /// What was written and not looked at yet.
    pub(crate) written: Vec<ClientFrame>,
    /// The connections that it was written on.
    written_on: Vec<u64>,
    /// How the client closed the latest connection.
    pub(crate) closed: Option<(u16, String)>,
    /// What was told and not looked at yet.
    pub(crate) events: Vec<ClientEvent>,
    sockets: Vec<Socket>,
}

/// One socket, from its number to its end.
#[derive(Clone, Debug)]
struct Socket {
    number: u64,
    open: bool,
    heard_ready: bool,
    said_bye: bool,
    /// How the client closed it.
    closed: Option<(u16, String)>,
}

pub(crate) fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

pub(crate) fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(crate) fn payload(text: &str) -> Payload {
    Payload::parse(text).expect("JSON")
}

pub(crate) fn token() -> Auth {
    Auth { scheme: "bearer".to_owned(), token: "t-1".to_owned() }
}

impl Near {
    /// A client that is ready, at a server whose `ready` is changed like this.
    pub(crate) fn ready_with(change: impl FnOnce(&mut Ready)) -> Self {
        let mut near = Self::at(Stage::ServicesReady);
        near.hears(&frames::with(change));
        near.forget();
        near
    }

    /// A client that has not begun.
    pub(crate) fn idle(config: ClientConfig) -> Self {
        Self::seeded(config, 7)
    }

    /// One with its own luck.
    pub(crate) fn seeded(config: ClientConfig, seed: u64) -> Self {
        Self::of(Client::new(config, seed))
    }

    /// One that is there already.
    pub(crate) fn of(client: Client) -> Self {
        Self {
            client,
            now: Instant::default(),
            asked: None,
            asked_fresh: Vec::new(),
            number: 0,
            protocols: Vec::new(),
            address: None,
            written: Vec::new(),
            written_on: Vec::new(),
            closed: None,
            events: Vec::new(),
            sockets: Vec::new(),
        }
    }

    /// A client with an open socket; its hello went along with the upgrade.
    pub(crate) fn connecting() -> Self {
        let mut near = Self::idle(ClientConfig::default());
        near.connect();
        near
    }

    /// A client at `stage`, with nothing left to look at.
    pub(crate) fn at(stage: Stage) -> Self {
        let mut near = Self::connecting();
        near.reach(stage);
        near.forget();
        near
    }

    /// A ready client that has nothing left to look at.
    pub(crate) fn ready() -> Self {
        Self::at(Stage::ProcessingReady)
    }

    /// Begins, and goes on until the socket is open.
    pub(crate) fn connect(&mut self) {
        self.begin();
        self.go_on();
    }

    /// From the question for a token to the open socket.
    pub(crate) fn go_on(&mut self) {
        self.give_token();
        self.open();
    }

    /// Begins, and asks for its first token.
    pub(crate) fn begin(&mut self) {
        self.client.connect(self.now);
        self.settle();
    }

    pub(crate) fn give_token(&mut self) {
        let number = self.asked.take().expect("a question for a token");
        self.client.provide_token(self.now, number, Ok(Some(token())));
        self.settle();
    }

    pub(crate) fn open(&mut self) {
        if let Some(socket) = self.sockets.last_mut() {
            socket.open = true;
        }
        self.client.handle_open(self.now, self.number, SUBPROTOCOL);
        self.settle();
    }

    /// Lets the server confirm everything up to `stage`.
    pub(crate) fn reach(&mut self, stage: Stage) {
        let steps = [Stage::Accepted, Stage::Authenticated, Stage::ServicesReady];
        for step in steps.into_iter().filter(|step| *step <= stage) {
            self.hears(&frames::stage(step));
        }
        match stage {
            Stage::ProcessingReady => self.hears(&frames::ready()),
            Stage::Degraded => self.hears(&frames::ready_degraded()),
            _ => {}
        }
    }

    /// The state that was told last.
    pub(crate) fn told(&self) -> &StateChange {
        let states = self.events.iter().rev().find_map(|event| match event {
            ClientEvent::State(change) => Some(change),
            _ => None,
        });
        states.expect("a change of state")
    }

    /// How long the client waits for its next attempt.
    pub(crate) fn wait(&self) -> Duration {
        let retry_at = self.told().retry_at.expect("the client waits for another attempt");
        retry_at.saturating_since(self.now)
    }

    /// Waits for the next attempt, and lets it ask for its token.
    pub(crate) fn retry(&mut self) {
        self.pass(self.wait());
    }

    /// Waits for the next attempt, and lets it come to its open socket.
    pub(crate) fn again(&mut self) {
        self.retry();
        self.go_on();
    }

    /// Comes back to a server that resumes the session and has received what lies up to `received`.
    pub(crate) fn resume(&mut self, received: u64) {
        self.again();
        self.reach(Stage::ServicesReady);
        self.hears(&frames::resumed(received));
    }

    /// Comes to this `ready` on the next connection; what was written before it is not looked at.
    pub(crate) fn comes_back_to(&mut self, ready: &ServerFrame) {
        self.again();
        self.reach(Stage::ServicesReady);
        self.forget();
        self.hears(ready);
    }

    /// The connection breaks off, and the next one comes to this `ready`.
    pub(crate) fn over_a_cut(&mut self, ready: &ServerFrame) {
        self.breaks_off();
        self.comes_back_to(ready);
    }

    pub(crate) fn hears(&mut self, frame: &ServerFrame) {
        self.hears_text(&frame.encode());
    }

    pub(crate) fn hears_text(&mut self, text: &str) {
        self.hears_on(self.number, text);
    }

    pub(crate) fn hears_on(&mut self, number: u64, text: &str) {
        if let Some(socket) = self.socket(number) {
            socket.heard_ready |= matches!(ServerFrame::decode(text), Ok(ServerFrame::Ready(_)));
        }
        self.client.handle_message(self.now, number, text);
        self.settle();
    }

    pub(crate) fn hears_binary(&mut self, message: Vec<u8>) {
        self.client.handle_binary(self.now, self.number, message);
        self.settle();
    }

    pub(crate) fn breaks_off(&mut self) {
        self.closes(None);
    }

    pub(crate) fn closes(&mut self, frame: Option<CloseFrame>) {
        self.closes_on(self.number, frame);
    }

    pub(crate) fn closes_on(&mut self, number: u64, frame: Option<CloseFrame>) {
        if let Some(socket) = self.socket(number) {
            socket.open = false;
        }
        self.client.handle_closed(self.now, number, frame);
        self.settle();
    }

    fn socket(&mut self, number: u64) -> Option<&mut Socket> {
        self.sockets.iter_mut().find(|socket| socket.number == number)
    }

    /// How the client closed this connection.
    pub(crate) fn closed_on(&self, number: u64) -> Option<u16> {
        let socket = self.sockets.iter().find(|socket| socket.number == number);
        socket.and_then(|socket| socket.closed.as_ref()).map(|(code, _)| *code)
    }

    pub(crate) fn send(&mut self, handle: u64, options: SendOptions) {
        self.send_text(handle, "1", options);
    }

    pub(crate) fn send_text(&mut self, handle: u64, text: &str, options: SendOptions) {
        self.client.send(self.now, handle, "event", payload(text), options);
        self.settle();
    }

    pub(crate) fn send_bytes(&mut self, handle: u64, bytes: &[u8], options: SendOptions) {
        self.client.send(self.now, handle, "event", bytes.to_vec().into(), options);
        self.settle();
    }

    /// Lets time pass, and calls the client once at its end.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
        self.client.handle_timeout(self.now);
        self.settle();
    }

    /// When the client wants to be called, from now.
    pub(crate) fn timer(&self) -> Option<Duration> {
        self.client.poll_timeout().map(|at| at.saturating_since(self.now))
    }

    /// The next timer runs out in just `after`: not a millisecond earlier, when nothing may happen.
    pub(crate) fn expires_in(&mut self, after: Duration) {
        assert_eq!(self.timer(), Some(after), "the next timer");
        self.now = self.now + (after - milliseconds(1));
        let before = self.client.clone();
        self.client.handle_timeout(self.now);
        assert_eq!(self.client, before, "nothing happens before the timer runs out");
        self.pass(milliseconds(1));
    }

    pub(crate) fn settle(&mut self) {
        while let Some(command) = self.client.poll_command() {
            match command {
                Command::AskToken { number } => self.asked = Some(number),
                Command::AskFreshToken { number } => self.asked_fresh.push(number),
                Command::Dial { number, protocols, address } => {
                    assert!(number > self.number, "numbers increase");
                    (self.number, self.protocols, self.address, self.closed) = (number, protocols, address, None);
                    let (open, heard_ready, said_bye) = (false, false, false);
                    self.sockets.push(Socket { number, open, heard_ready, said_bye, closed: None });
                }
                Command::Transmit { number, text } => {
                    let frame = ClientFrame::decode(&text).expect("the client writes what can be read");
                    self.transmit(number, frame);
                }
                Command::TransmitBinary { number, message } => {
                    let frame = ClientFrame::decode_binary(message).expect("the client writes what can be read");
                    self.transmit(number, frame);
                }
                Command::Close { number, code, reason } => {
                    assert!(code == 1000 || (3000..5000).contains(&code), "a page cannot close with {code}");
                    assert!(reason.len() <= 123, "{reason}");
                    let latest = number == self.number;
                    let socket = self.socket(number).expect("closes what was dialled");
                    assert!(socket.closed.is_none(), "closes once");
                    socket.open = false;
                    socket.closed = Some((code, reason.clone()));
                    if latest {
                        self.closed = Some((code, reason));
                    }
                }
            }
        }
        while let Some(event) = self.client.poll_event() {
            let over = self.events.iter().any(|event| matches!(event, ClientEvent::Closed(_)));
            let refused = matches!(event, ClientEvent::Settled { outcome: Outcome::Refused(_), .. });
            assert!(!over || refused, "after the end: {event:?}");
            self.events.push(event);
        }
    }

    fn transmit(&mut self, number: u64, frame: ClientFrame) {
        let socket = self.socket(number).filter(|socket| socket.open);
        let socket = socket.unwrap_or_else(|| panic!("only an open socket is written to: {frame:?}"));
        assert!(!socket.said_bye, "nothing is written behind a bye: {frame:?}");
        socket.said_bye = matches!(frame, ClientFrame::Bye(_));
        use ClientFrame::{Bye, Hello, Ping, Pong, Subscribe};
        let early = matches!(frame, Hello(_) | Ping { .. } | Pong { .. } | Bye(_) | Subscribe { .. });
        assert!(early || socket.heard_ready, "an application frame before ready: {frame:?}");
        self.written.push(frame);
        self.written_on.push(number);
    }

    /// What was written since the last look.
    pub(crate) fn writes(&mut self) -> Vec<ClientFrame> {
        self.written_on.clear();
        std::mem::take(&mut self.written)
    }

    /// What was written on this connection since the last look; what was written on others is passed over.
    pub(crate) fn writes_on(&mut self, number: u64) -> Vec<ClientFrame> {
        let numbers = std::mem::take(&mut self.written_on);
        let frames = std::mem::take(&mut self.written).into_iter().zip(numbers);
        frames.filter(|(_, on)| *on == number).map(|(frame, _)| frame).collect()
    }

    /// The sends among it.
    pub(crate) fn sends(&mut self) -> Vec<Send> {
        let sends = self.writes().into_iter().filter_map(|frame| match frame {
            ClientFrame::Send(send) => Some(send),
            _ => None,
        });
        sends.collect()
    }

    /// Their ids.
    pub(crate) fn ids(&mut self) -> Vec<u64> {
        self.sends().into_iter().map(|send| send.id).collect()
    }

    /// What was told since the last look.
    pub(crate) fn tells(&mut self) -> Vec<ClientEvent> {
        std::mem::take(&mut self.events)
    }

    /// The outcomes that were told since the last look, by handle.
    pub(crate) fn outcomes(&mut self) -> Vec<(u64, Outcome)> {
        let told = self.tells().into_iter().filter_map(|event| match event {
            ClientEvent::Settled { handle, outcome } => Some((handle, outcome)),
            _ => None,
        });
        told.collect()
    }

    pub(crate) fn state(&self) -> ClientState {
        self.client.state()
    }

    /// The last words that the client wrote, just before its close frame.
    pub(crate) fn bye(&self) -> Option<&Bye> {
        match self.written.last() {
            Some(ClientFrame::Bye(bye)) => Some(bye),
            _ => None,
        }
    }

    /// The hello of the latest attempt, from the upgrade or as a frame.
    pub(crate) fn hello(&self) -> Hello {
        let written = self.written.iter().rev().find_map(|frame| match frame {
            ClientFrame::Hello(hello) => Some((**hello).clone()),
            _ => None,
        });
        frames::hello_in(&self.protocols).or(written).expect("a hello")
    }

    /// Forgets what was written and told.
    pub(crate) fn forget(&mut self) {
        self.writes();
        self.events.clear();
    }
}

/// What the outcome of a send is called: its kind, and its code if it has one.
pub(crate) fn named(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Acknowledged { id } => format!("acknowledged {id}"),
        Outcome::Written { attempt } => format!("written {attempt}"),
        Outcome::Refused(Rejection { code, .. }) => format!("refused {code}"),
        Outcome::Expired => "expired".to_owned(),
        Outcome::Unknown { code } => format!("unknown {code}"),
    }
}
