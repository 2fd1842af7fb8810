//! Every interleaving of a small world: one send, a cut or two, a server that goes away, a timer that comes at the wrong
//! moment, and nothing left to chance.

use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::client::{Client, ClientEvent, Command, Outcome, SendOptions};
use readywire_protocol::config::{ClientConfig, ServerConfig};
use readywire_protocol::frame::{ClientFrame, Resume, Send, ServerFrame, SessionGrant};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{
    Bound, Credentials, Decision, SecretHash, ServerConnection, ServerEvent, Sessions, Take, Transmit,
};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};
use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// More worlds than this and something counts up for ever.
const MOST: usize = 400_000;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Word {
    Upgrade(Vec<String>),
    Open,
    Text(String),
    /// The end of the stream, with the code of a close frame if one came.
    Gone(Option<u16>),
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Line {
    number: u64,
    server: Option<ServerConnection>,
    to_server: VecDeque<Word>,
    to_client: VecDeque<Word>,
    cut: bool,
    resume: Option<Resume>,
    session: Option<String>,
    ready_read: bool,
    ready_written: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Small {
    now: Instant,
    client: Client,
    lines: Vec<Line>,
    sessions: Sessions,
    to_send: bool,
    cuts: u32,
    drains: u32,
    early_timers: u32,
    processed: u32,
    outcome: Option<Outcome>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Move {
    Send,
    ToServer(usize),
    ToClient(usize),
    /// The services of this connection are up: bind and say ready.
    Bind(usize),
    Cut(usize),
    /// The server of this connection goes away.
    Drain(usize),
    /// The next timer is due.
    Timer,
}

impl Move {
    /// Nothing that has to happen.
    fn is_mishap(&self) -> bool {
        matches!(self, Move::Cut(_) | Move::Drain(_))
    }
}

impl Small {
    fn new(hello_in_upgrade: bool, [cuts, drains, early_timers]: [u32; 3]) -> Self {
        let config = ClientConfig { hello_in_upgrade, ..ClientConfig::default() };
        let mut client = Client::new(config, 1);
        client.connect(Instant::default());
        let mut world = Self {
            now: Instant::default(),
            client,
            lines: Vec::new(),
            sessions: Sessions::new(ServerConfig::default()),
            to_send: true,
            cuts,
            drains,
            early_timers,
            processed: 0,
            outcome: None,
        };
        world.settle();
        world
    }

    /// Everything that may happen next. Empty when the send is decided and nothing is on its way.
    fn moves(&self) -> Vec<Move> {
        let mut moves = Vec::new();
        if self.to_send {
            moves.push(Move::Send);
        }
        for (index, line) in self.lines.iter().enumerate() {
            if !line.to_server.is_empty() {
                moves.push(Move::ToServer(index));
            }
            if !line.to_client.is_empty() {
                moves.push(Move::ToClient(index));
            }
            if line.session.is_none()
                && line.server.as_ref().is_some_and(|server| server.stage() == Stage::Authenticated)
            {
                moves.push(Move::Bind(index));
            }
            if self.cuts > 0 && !line.cut && line.server.is_some() {
                moves.push(Move::Cut(index));
            }
            if self.drains > 0 && line.server.as_ref().is_some_and(|server| server.stage().is_ready()) {
                moves.push(Move::Drain(index));
            }
        }
        let quiet = moves.iter().all(Move::is_mishap);
        // The next connection of a handover is due at once.
        let due = self.client.poll_timeout().is_some_and(|at| at <= self.now);
        let settled = self.outcome.is_some() && self.client.state().is_ready() && !due;
        if quiet && !settled || !quiet && self.early_timers > 0 {
            moves.push(Move::Timer);
        }
        moves
    }

    fn make(&mut self, next: Move) {
        match next {
            Move::Send => {
                self.to_send = false;
                self.client.send(self.now, 1, "e", Payload::null(), SendOptions::default());
            }
            Move::ToServer(index) => self.reach_server(index),
            Move::ToClient(index) => self.reach_client(index),
            Move::Bind(index) => self.bind(index),
            Move::Cut(index) => {
                self.cuts -= 1;
                let line = &mut self.lines[index];
                line.cut = true;
                // What was on its way is lost, and each end learns of it when it does.
                line.to_server = [Word::Gone(None)].into();
                line.to_client = [Word::Gone(None)].into();
            }
            Move::Drain(index) => {
                self.drains -= 1;
                if let Some(server) = &mut self.lines[index].server {
                    server.drain(Duration::from_secs(60), (Duration::ZERO, Duration::ZERO));
                }
            }
            Move::Timer => {
                let quiet = self.moves().iter().all(|next| next.is_mishap() || *next == Move::Timer);
                self.early_timers -= u32::from(!quiet);
                let servers = self.lines.iter().filter_map(|line| line.server.as_ref()?.poll_timeout());
                let Some(due) = servers.chain(self.client.poll_timeout()).min() else { return };
                self.now = self.now.max(due);
                self.client.handle_timeout(self.now);
                for line in &mut self.lines {
                    line.server.iter_mut().for_each(|server| server.handle_timeout(self.now));
                }
            }
        }
        self.settle();
    }

    fn reach_server(&mut self, index: usize) {
        let line = &mut self.lines[index];
        match (line.to_server.pop_front(), &mut line.server) {
            (Some(Word::Upgrade(protocols)), server) => {
                let id = format!("connection {index}");
                let protocols = protocols.iter().map(String::as_str);
                *server = Some(ServerConnection::new(ServerConfig::default(), self.now, id, protocols));
                line.to_client.push_back(Word::Open);
            }
            (Some(Word::Text(text)), Some(server)) => server.handle_message(self.now, &text),
            (Some(Word::Gone(_)), Some(server)) => server.handle_closed(None),
            _ => {}
        }
    }

    fn reach_client(&mut self, index: usize) {
        let line = &mut self.lines[index];
        match line.to_client.pop_front() {
            Some(Word::Open) => self.client.handle_open(self.now, line.number, SUBPROTOCOL),
            Some(Word::Text(text)) => {
                line.ready_read |= matches!(ServerFrame::decode(&text), Ok(ServerFrame::Ready(_)));
                self.client.handle_message(self.now, line.number, &text);
            }
            Some(Word::Gone(code)) => {
                let frame = code.map(|code| readywire_protocol::close::CloseFrame::new(code, ""));
                self.client.handle_closed(self.now, line.number, frame);
            }
            _ => {}
        }
    }

    fn bind(&mut self, index: usize) {
        let line = &mut self.lines[index];
        let Some(server) = &mut line.server else { return };
        let owner = index as u64;
        let token = format!("token {index}");
        let credentials = Credentials {
            subject: "alice".to_owned(),
            owner,
            presented: line.resume.as_ref().map(|resume| hash(&resume.token)),
            fresh_id: format!("session {index}"),
            fresh_token: hash(&token),
        };
        server.services_ready(self.now);
        let Ok(binding) = self.sessions.bind(self.now, credentials, line.resume.as_ref()) else {
            return server.refuse(4013, "a later attempt has the session", None);
        };
        assert_eq!(binding.resumed, line.resume.is_some(), "no session is lost by one cut");
        line.session = Some(binding.id.clone());
        server.ready(Bound {
            session: Some(SessionGrant {
                id: binding.id,
                token,
                ttl_ms: 120_000,
                resumed: binding.resumed,
                lost_because: None,
                subject: "alice".to_owned(),
                durability: "process".to_owned(),
            }),
            received: binding.received,
            refused: binding.refused,
            inbox: binding.inbox,
            impaired: Vec::new(),
            token_expires_in: None,
        });
        if let Some(fenced) = binding.fenced {
            let fenced = self.lines[fenced as usize].server.as_mut();
            fenced.into_iter().for_each(|server| server.refuse(4013, "a later attempt has the session", None));
        }
    }

    /// Does what both cores ask.
    fn settle(&mut self) {
        while let Some(command) = self.client.poll_command() {
            match command {
                Command::AskToken { number } => self.client.provide_token(self.now, number, Ok(None)),
                Command::AskFreshToken { .. } => unreachable!("no token here has an end"),
                Command::Dial { number, protocols, .. } => self.lines.push(Line {
                    number,
                    server: None,
                    to_server: [Word::Upgrade(protocols)].into(),
                    to_client: VecDeque::new(),
                    cut: false,
                    resume: None,
                    session: None,
                    ready_read: false,
                    ready_written: false,
                }),
                Command::TransmitBinary { .. } => unreachable!("nobody sends bytes here"),
                Command::Transmit { number, text } => {
                    let Some(line) = self.lines.iter_mut().find(|line| line.number == number) else { continue };
                    let early = matches!(ClientFrame::decode(&text), Ok(ClientFrame::Send(_))) && !line.ready_read;
                    assert!(!early, "no application frame before ready: {text}");
                    if !line.cut {
                        line.to_server.push_back(Word::Text(text));
                    }
                }
                Command::Close { number, code, .. } => {
                    let Some(line) = self.lines.iter_mut().find(|line| line.number == number) else { continue };
                    line.to_client.clear();
                    if !line.cut {
                        line.to_server.push_back(Word::Gone(Some(code)));
                    }
                }
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::Settled { outcome, .. } => {
                    assert_eq!(self.outcome, None, "one outcome: {outcome:?}");
                    self.outcome = Some(outcome);
                }
                ClientEvent::Closed(end) => panic!("one cut ends a connection, not the client: {end:?}"),
                _ => {}
            }
        }
        for index in 0..self.lines.len() {
            self.serve(index);
        }
    }

    fn serve(&mut self, index: usize) {
        while let Some(event) = self.lines[index].server.as_mut().and_then(ServerConnection::poll_event) {
            let line = &mut self.lines[index];
            let Some(server) = &mut line.server else { return };
            match event {
                ServerEvent::Hello(hello) => {
                    line.resume = hello.resume;
                    server.authenticated(self.now);
                }
                ServerEvent::Send(send) => self.take(index, &send),
                ServerEvent::Taken { .. } | ServerEvent::Cancel { .. } | ServerEvent::FreshToken(_) => {}
                ServerEvent::Subscribe { .. }
                | ServerEvent::Unsubscribe { .. }
                | ServerEvent::History(_)
                | ServerEvent::TopicRoom { .. } => {}
                ServerEvent::Closed(ending) => {
                    assert!(!(4400..4500).contains(&ending.code), "correct ends break no clause: {ending:?}");
                    if let Some(session) = &line.session {
                        self.sessions.detach(self.now, session, index as u64);
                    }
                }
            }
        }
        let line = &mut self.lines[index];
        while let Some(transmit) = line.server.as_mut().and_then(ServerConnection::poll_transmit) {
            let word = match transmit {
                Transmit::Binary(_) => unreachable!("nobody sends bytes here"),
                Transmit::Text(text) => {
                    let ready = matches!(ServerFrame::decode(&text), Ok(ServerFrame::Ready(_)));
                    assert!(!(ready && line.ready_written), "ready once");
                    line.ready_written |= ready;
                    Word::Text(text)
                }
                Transmit::Close { code, .. } => Word::Gone(Some(code)),
            };
            if !line.cut {
                line.to_client.push_back(word);
            }
        }
    }

    fn take(&mut self, index: usize, send: &Send) {
        let Line { session, server, .. } = &mut self.lines[index];
        let (Some(session), Some(server)) = (session, server) else { return };
        match self.sessions.take(self.now, session, index as u64, send, None) {
            Take::New => {
                self.processed += 1;
                server.decide(self.now, send.id, Decision::Taken);
            }
            Take::Again(decision) => server.decide(self.now, send.id, decision),
            Take::Fenced => server.refuse(4013, "a later attempt has the session", None),
        }
    }

    fn check(&self) {
        assert!(self.processed <= 1, "processed once");
        let acknowledged = matches!(self.outcome, Some(Outcome::Acknowledged { .. }));
        assert!(self.outcome.is_none() || acknowledged && self.processed == 1, "{:?}", self.outcome);
    }
}

/// Visits every world that can be reached; gives how many there are, and how many ends.
fn explore(first: Small) -> (usize, usize) {
    let mut seen = HashSet::new();
    let mut ends = 0;
    let mut open = vec![first];
    while let Some(world) = open.pop() {
        let mut hasher = DefaultHasher::new();
        world.hash(&mut hasher);
        if !seen.insert(hasher.finish()) {
            continue;
        }
        assert!(seen.len() < MOST, "the world does not come to rest: {world:#?}");
        world.check();
        let moves = world.moves();
        if moves.iter().all(Move::is_mishap) {
            ends += 1;
            assert!(world.outcome.is_some(), "at rest and undecided: {world:#?}");
        }
        open.extend(moves.into_iter().map(|next| {
            let mut world = world.clone();
            world.make(next);
            world
        }));
    }
    (seen.len(), ends)
}

fn hash(token: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    for (place, byte) in hash.iter_mut().zip(token.bytes()) {
        *place = byte;
    }
    hash
}

#[test]
fn every_interleaving_of_one_send_with_cuts_drains_and_timers_is_acknowledged_once() {
    for hello_in_upgrade in [true, false] {
        for mishaps in [[1, 0, 1], [2, 0, 0], [0, 0, 2], [0, 1, 1], [1, 1, 0]] {
            let (worlds, ends) = explore(Small::new(hello_in_upgrade, mishaps));
            let [cuts, drains, timers] = mishaps;
            println!(
                "hello in the upgrade: {hello_in_upgrade}, {cuts} cuts, {drains} drains, {timers} early timers: {worlds} \
                 worlds, {ends} ends"
            );
            assert!(ends > 1, "more than one way leads to an end");
        }
    }
}
