//! The transcripts of `PROTOCOL.md`, replayed: each line of the client is what the client's core writes, each line of
//! the server what the server's core writes, and neither finds anything wrong with the other.

use readywire_protocol::HELLO_PREFIX;
use readywire_protocol::client::{Client, ClientEvent, Command, Position, SendOptions, Start};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::{ClientConfig, ServerConfig};
use readywire_protocol::frame::{Auth, ClientFrame, HistoryRequest, Send, ServerFrame};
use readywire_protocol::server::{Bound, Decision, Page, ServerConnection, ServerEvent, Subscribed, Transmit};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};
use std::collections::VecDeque;

const PROTOCOL: &str = include_str!("../PROTOCOL.md");
const TITLES: [&str; 13] = [
    "Cold start: services are starting",
    "Warm start: one round trip, with the hello in the upgrade",
    "A cut, and the session goes on",
    "A refused send while degraded",
    "An answer, cancelled",
    "A stream of parts, over a cut",
    "Questions, over a cut",
    "Following a topic, over a cut",
    "A topic with what it has had",
    "A bad token",
    "A fresh token on a living connection",
    "Drain: make before break",
    "Drain: the old connection ends first",
];

const OPEN: &str = "the client opens a socket, without a hello in the upgrade";
const OPEN_WITH_HELLO: &str = "the client opens a socket, with the hello in the upgrade";
const OPEN_BESIDE: &str = "the client asks the application for a token, and opens the next socket beside this one, without \
                           a hello in the upgrade";
const LEAVES: &str = "the client closes the old socket with ";
const AGAIN: &str = ", the client backs off and asks the application for a token";

fn transcript(title: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = PROTOCOL.split_once(&format!("\n### {title}\n")).unwrap_or_else(|| panic!("no transcript `{title}`")).1;
    let text = text.split_once("```transcript\n").expect("a transcript").1.split_once("\n```").expect("an end").0;
    text.lines().map(|line| {
        let (who, what) = line.split_at(2);
        (who, what.trim_start())
    })
}

/// What the client wrote and did.
struct Near {
    client: Client,
    now: Instant,
    number: u64,
    offered: Vec<String>,
    written: VecDeque<String>,
    /// The code of the close frame that answered a `bye`.
    answered: Option<u16>,
    handles: u64,
    /// The handles of sends, by id.
    sent: Vec<(u64, u64)>,
    /// The names of the questions that are open, by offset.
    asked: Vec<(u64, u64)>,
}

impl Near {
    fn new(hello_in_upgrade: bool) -> Self {
        let config = ClientConfig {
            agent: ("example".to_owned(), "1.0".to_owned()),
            hello_in_upgrade,
            ..ClientConfig::default()
        };
        let mut client = Client::new(config, 7);
        client.connect(Instant::default());
        let mut near = Self {
            client,
            now: Instant::default(),
            number: 0,
            offered: Vec::new(),
            written: VecDeque::new(),
            answered: None,
            handles: 0,
            sent: Vec::new(),
            asked: Vec::new(),
        };
        near.settle();
        near
    }

    fn settle(&mut self) {
        while let Some(command) = self.client.poll_command() {
            match command {
                Command::AskToken { number } => {
                    let token = Auth { scheme: "bearer".to_owned(), token: "t-1".to_owned() };
                    self.client.provide_token(self.now, number, Ok(Some(token)));
                }
                Command::AskFreshToken { number } => {
                    let token = Auth { scheme: "bearer".to_owned(), token: "t-2".to_owned() };
                    self.client.provide_fresh_token(self.now, number, Ok(Some(token)));
                }
                Command::Dial { number, protocols, .. } => (self.number, self.offered) = (number, protocols),
                Command::Transmit { text, .. } => self.written.push_back(text),
                Command::TransmitBinary { .. } => panic!("no transcript has bytes"),
                Command::Close { code, .. } => self.answered = Some(code),
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::InFlight { handle, id } => self.sent.push((id, handle)),
                ClientEvent::Question { question, offset, .. } => self.asked.push((offset, question)),
                ClientEvent::Withdrawn { question } => self.asked.retain(|(_, open)| *open != question),
                ClientEvent::Closed(end) => panic!("the client stopped: {end:?}"),
                _ => {}
            }
        }
    }

    /// Lets time pass until the client has something to say.
    fn wait(&mut self, until: impl Fn(&Self) -> bool) {
        for _ in 0..3 {
            if until(self) {
                return;
            }
            self.now = self.client.poll_timeout().expect("the client waits for something").max(self.now);
            self.client.handle_timeout(self.now);
            self.settle();
        }
        assert!(until(self), "the client says nothing");
    }

    /// The application gives what is to be written as this.
    fn gives(&mut self, send: Send) {
        self.handles += 1;
        let (now, handle) = (self.now, self.handles);
        let Send { event, payload, answer, key, topic, stream, of, end, re, error, .. } = send;
        match (of, re) {
            (Some(of), _) if end => self.client.end_stream(now, handle, named(&self.sent, of)),
            (Some(of), _) => self.client.write_part(now, handle, named(&self.sent, of), payload),
            (None, Some(re)) => {
                let question = named(&self.asked, re);
                self.asked.retain(|(_, open)| *open != question);
                self.client.answer(now, handle, question, error.map_or(Ok(payload), Err));
            }
            (None, None) => {
                let options = SendOptions { answer, key, topic, stream, ..SendOptions::default() };
                self.client.send(now, handle, &event, payload, options);
            }
        }
    }

    /// The line of the transcript is what the client writes next.
    fn says(&mut self, line: &str) {
        if self.written.is_empty() {
            match ClientFrame::decode(line).expect("a frame of the client") {
                ClientFrame::Send(send) => self.gives(send),
                ClientFrame::Subscribe { topic, last, .. } => {
                    self.handles += 1;
                    self.client.subscribe(self.handles, &topic, last.map_or(Start::Now, Start::Last));
                }
                ClientFrame::History(HistoryRequest { topic, limit, before, epoch, .. }) => {
                    self.handles += 1;
                    let before = before.map(|offset| Position { offset, epoch });
                    self.client.history(self.now, self.handles, &topic, limit, before);
                }
                ClientFrame::Cancel { re } => self.client.cancel(self.now, named(&self.sent, re)),
                _ => {}
            }
            self.settle();
        }
        self.wait(|near| !near.written.is_empty());
        assert_eq!(self.written.pop_front().as_deref(), Some(line));
    }
}

/// What the client calls what has this number on the wire.
fn named(names: &[(u64, u64)], number: u64) -> u64 {
    names.iter().find(|(on_wire, _)| *on_wire == number).expect("nothing has this number").1
}

/// What the server wrote and did on one connection.
struct Far {
    core: ServerConnection,
    received: u64,
    undecided: VecDeque<u64>,
    hellos: usize,
    inbox: u64,
}

fn moment(after: Duration) -> Instant {
    Instant::default() + after
}

impl Far {
    /// A server that speaks of what the title does.
    fn new(id: &str, offered: &[String], title: &str) -> Self {
        let protocols = offered.iter().map(String::as_str);
        let config = ServerConfig {
            topics: title.contains("topic"),
            has_streams: title.contains("stream"),
            has_questions: title.contains("Questions"),
            ..ServerConfig::default()
        };
        let core = ServerConnection::new(config, Instant::default(), id.to_owned(), protocols);
        Self { core, received: 0, undecided: VecDeque::new(), hellos: 0, inbox: 0 }
    }

    fn hears(&mut self, line: &str) {
        self.core.handle_message(Instant::default(), line);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(event) = self.core.poll_event() {
            match event {
                ServerEvent::Hello(hello) => {
                    self.hellos += 1;
                    self.inbox = hello.resume.map_or(0, |resume| resume.inbox);
                }
                ServerEvent::Send(send) => self.undecided.push_back(send.id),
                ServerEvent::Taken { .. } | ServerEvent::Cancel { .. } | ServerEvent::FreshToken(_) => {}
                ServerEvent::Subscribe { .. }
                | ServerEvent::Unsubscribe { .. }
                | ServerEvent::History(_)
                | ServerEvent::TopicRoom { .. } => {}
                ServerEvent::Closed(ending) => assert_eq!(ending.clause, None, "{}", ending.reason),
            }
        }
    }

    /// The line of the transcript is what the server writes next.
    fn says(&mut self, line: &str) {
        let start = Instant::default();
        self.settle();
        match ServerFrame::decode(line).expect("a frame of the server") {
            ServerFrame::Stage(news) => match news.stage {
                Stage::Authenticated if news.pending.is_empty() => self.core.authenticated(start),
                Stage::Authenticated => {
                    let left = Duration::from_millis(news.deadline_ms.expect("the budget"));
                    self.core.pending(moment(ServerConfig::default().ready_timeout - left), news.pending);
                }
                Stage::ServicesReady => self.core.services_ready(start),
                Stage::Degraded | Stage::ProcessingReady => self.core.impaired(news.impaired, news.reason),
                _ => {}
            },
            ServerFrame::Ready(ready) => {
                assert_eq!(self.hellos, 1, "a hello came");
                self.received = ready.received;
                self.core.ready(Bound {
                    session: ready.session,
                    received: ready.received,
                    refused: ready.refused,
                    inbox: self.inbox,
                    impaired: ready.impaired,
                    token_expires_in: ready.token_expires_in_ms.map(Duration::from_millis),
                });
            }
            ServerFrame::Ack { id } => {
                while self.undecided.front().is_some_and(|next| *next <= id) {
                    self.core.decide(start, self.undecided.pop_front().expect("the next"), Decision::Taken);
                }
                self.core.handle_timeout(moment(ServerConfig::default().ack_delay));
            }
            ServerFrame::Nack(refusal) => {
                assert_eq!(self.undecided.pop_front(), Some(refusal.id));
                self.core.decide(start, refusal.id, Decision::Refused(refusal));
            }
            ServerFrame::Message(message) => {
                self.core.deliver(message);
            }
            ServerFrame::Read { re, id } if self.core.has_stream(re) => {
                self.core.stream_read(start, re, id);
                self.core.handle_timeout(moment(ServerConfig::default().read_delay));
            }
            // Right behind a `ready` that resumes.
            ServerFrame::Read { re, id } => {
                let unread = (id + 1..=self.received).map(|part| (part, 0));
                self.core.stream_resumed(re, unread, Some(id));
            }
            ServerFrame::Cancel { re } => self.core.withdraw(re),
            ServerFrame::Auth(news) if news.required => {
                self.core.require_token(start, Duration::from_millis(news.deadline_ms.expect("a deadline")));
            }
            ServerFrame::Auth(news) => match news.error {
                Some(error) => self.core.token_refused(error, news.retry),
                None => self.core.token_accepted(start, news.expires_in_ms.map(Duration::from_millis)),
            },
            ServerFrame::Subscribed { topic, offset, head, epoch, recovered } => {
                self.core.subscribed(&topic, Subscribed { offset, head, epoch, recovered });
            }
            // The driver writes it, in front of the end of its page.
            ServerFrame::Publication { request: Some(_), .. } => return,
            ServerFrame::Page { request, epoch, head, more, .. } => {
                let epoch = epoch.expect("no refusal is replayed");
                let gathered = self.core.gathering::<()>(256);
                assert!(self.core.page(request, Page { epoch, head, more, gathered }).is_empty());
            }
            // The driver writes it, to all that follow.
            ServerFrame::Publication { topic, offset, payload, .. } => {
                let binary = payload.bytes().is_some();
                assert!(self.core.deliver_publication(&topic, offset, payload.size(), binary), "{line}");
                return;
            }
            ServerFrame::Drain { deadline_ms, reconnect_after_ms, .. } => {
                let [from, to] = reconnect_after_ms[..] else { panic!("two numbers: {line}") };
                let window = (Duration::from_millis(from), Duration::from_millis(to));
                self.core.drain(Duration::from_millis(deadline_ms), window);
            }
            ServerFrame::Bye(bye) => {
                self.core.refuse(u16::try_from(bye.code).expect("a code"), &bye.reason, None);
            }
            other => panic!("not replayed: {other:?}"),
        }
        assert_eq!(self.core.poll_transmit(), Some(Transmit::Text(line.to_owned())));
    }
}

fn replay(title: &str) {
    let mut near: Option<Near> = None;
    let mut far: Option<Far> = None;
    // The old connection, while there is a next one: its server's end, and its number.
    let mut old: Option<(Far, u64)> = None;
    let lines: Vec<_> = transcript(title).collect();
    for (at, (who, what)) in lines.iter().copied().enumerate() {
        match who {
            "--" if [OPEN, OPEN_WITH_HELLO, OPEN_BESIDE].contains(&what) => {
                let rides = what == OPEN_WITH_HELLO;
                let near = near.get_or_insert_with(|| Near::new(rides));
                let before = near.number;
                near.wait(|near| !near.offered.is_empty());
                let offered = std::mem::take(&mut near.offered);
                assert_eq!(offered.iter().any(|entry| entry.starts_with(HELLO_PREFIX)), rides, "{title}: {what}");
                if what == OPEN_BESIDE {
                    old = far.take().map(|far| (far, before));
                }
                near.client.handle_open(near.now, near.number, "readywire.v1");
                near.settle();
                // The server names the connection in its first line.
                let first = lines[at..].iter().find(|(who, _)| who.starts_with('S')).expect("a line of the server").1;
                let Ok(ServerFrame::Stage(accepted)) = ServerFrame::decode(first) else { panic!("first: {first}") };
                far = Some(Far::new(&accepted.connection.expect("an id"), &offered, title));
            }
            "--" if what.starts_with(LEAVES) => {
                let code = what.strip_prefix(LEAVES).and_then(|code| code.parse().ok());
                assert_eq!(near.as_mut().expect("a client").answered.take(), code, "{title}: {what}");
                let (mut far, _) = old.take().expect("an old connection");
                far.settle();
                let Some(Transmit::Close { code: answered, .. }) = far.core.poll_transmit() else { panic!("{what}") };
                assert_eq!(Some(answered), code, "a `bye` is answered by its code");
            }
            "--" => {
                let near = near.as_mut().expect("a connection");
                let how = what.strip_suffix(AGAIN).unwrap_or_else(|| panic!("not replayed: {what}"));
                let frame = how.strip_prefix("the server closes with ").map(|code| {
                    let far = far.as_mut().expect("a server");
                    let Some(Transmit::Close { code: closed, reason }) = far.core.poll_transmit() else {
                        panic!("{what}")
                    };
                    assert_eq!(code.parse(), Ok(closed));
                    assert_eq!(near.answered.take(), Some(closed), "a `bye` is answered by its code");
                    CloseFrame { code: closed, reason }
                });
                assert!(frame.is_some() || how == "the connection breaks off", "not replayed: {what}");
                near.offered.clear();
                near.client.handle_closed(near.now, near.number, frame);
                near.settle();
            }
            "C " | "C'" | "S " | "S'" => {
                let near = near.as_mut().expect("a client");
                let latest = near.number;
                let (far, number) = match &mut old {
                    Some((far, number)) if who.ends_with(' ') => (far, *number),
                    _ => (far.as_mut().expect("a server"), latest),
                };
                if who.starts_with('C') {
                    near.says(what);
                    far.hears(what);
                } else {
                    assert_eq!(near.written, [""; 0], "{title}: the client wrote more than the transcript has");
                    far.says(what);
                    near.client.handle_message(near.now, number, what);
                    near.settle();
                }
            }
            _ => panic!("neither side: {who}{what}"),
        }
    }
    let (near, mut far) = (near.expect("a client"), far.expect("a server"));
    assert_eq!(near.written, [""; 0], "{title}: the client wrote more than the transcript has");
    assert_eq!(near.answered, None, "{title}: the client closes nothing by itself");
    assert_eq!(near.asked, [], "{title}: every question is answered or withdrawn");
    assert!(near.client.state().is_ready(), "{title}: ends ready");
    far.settle();
    assert_eq!(far.core.poll_transmit(), None, "{title}: the server wrote more than the transcript has");
}

#[test]
fn every_transcript_is_what_both_ends_say() {
    assert_eq!(PROTOCOL.matches("\n```transcript\n").count(), TITLES.len(), "every transcript is replayed");
    for title in TITLES {
        replay(title);
    }
}
