//! Frames that tests write again and again.

use readywire_protocol::frame::{
    AnswerError, Bye, ClientFrame, Heartbeat, Hello, Limits, LostBecause, Message, Ready, Refusal, ServerFrame,
    SessionGrant, StageNews,
};
use readywire_protocol::json::Payload;
use readywire_protocol::server::ServerConnection;
use readywire_protocol::server::ServerEvent;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Instant;

pub(crate) fn stage(stage: Stage) -> ServerFrame {
    let impaired = if stage == Stage::Degraded { vec!["search".to_owned()] } else { Vec::new() };
    let connection = (stage == Stage::Accepted).then(|| "c-1".to_owned());
    ServerFrame::Stage(StageNews { connection, impaired, ..StageNews::new(stage) })
}

/// The stage under way, with services that are still starting.
pub(crate) fn pending(stage: Stage, pending: &[&str], deadline_ms: Option<u64>) -> ServerFrame {
    let pending = pending.iter().map(|name| (*name).to_owned()).collect();
    ServerFrame::Stage(StageNews { pending, deadline_ms, ..StageNews::new(stage) })
}

pub(crate) fn grant(resumed: bool) -> SessionGrant {
    SessionGrant {
        id: if resumed { "s-1" } else { "s-new" }.to_owned(),
        token: "r-1".to_owned(),
        ttl_ms: 120_000,
        resumed,
        lost_because: None,
        subject: "alice".to_owned(),
        durability: "process".to_owned(),
    }
}

/// What a server with Resume and Answers says of a first session.
pub(crate) fn plain_ready() -> Ready {
    Ready {
        session: Some(SessionGrant { id: "s-1".to_owned(), ..grant(false) }),
        received: 0,
        refused: Vec::new(),
        impaired: Vec::new(),
        limits: Limits { max_message_bytes: 1000, max_in_flight: 4, max_in_flight_bytes: 100, ..Limits::default() },
        heartbeat: Heartbeat { interval_ms: 20_000, timeout_ms: 10_000 },
        token_expires_in_ms: None,
        capabilities: vec!["resume".to_owned(), "answers".to_owned()],
    }
}

pub(crate) fn with(change: impl FnOnce(&mut Ready)) -> ServerFrame {
    let mut ready = plain_ready();
    change(&mut ready);
    ServerFrame::Ready(Box::new(ready))
}

/// The session goes on, in a `ready` that is changed like this.
pub(crate) fn resumed_with(received: u64, change: impl FnOnce(&mut Ready)) -> ServerFrame {
    with(|ready| {
        change(ready);
        (ready.session, ready.received) = (Some(grant(true)), received);
    })
}

pub(crate) fn ready() -> ServerFrame {
    with(|_| {})
}

pub(crate) fn ready_degraded() -> ServerFrame {
    with(|ready| ready.impaired = vec!["search".to_owned()])
}

/// What a server without any level says.
pub(crate) fn ready_core() -> ServerFrame {
    with(|ready| (ready.session, ready.capabilities) = (None, Vec::new()))
}

/// What a server with every level that this client speaks says.
pub(crate) fn ready_binary() -> ServerFrame {
    with(|ready| ready.capabilities.push("binary".to_owned()))
}

/// The envelope of a frame, by another writer.
pub(crate) fn envelope(frame: &str, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(frame.len()).expect("a short frame");
    [&length.to_be_bytes()[..], frame.as_bytes(), payload].concat()
}

/// The session goes on.
pub(crate) fn resumed(received: u64) -> ServerFrame {
    with(|ready| (ready.session, ready.received) = (Some(grant(true)), received))
}

/// The session is lost, and this is another.
pub(crate) fn started_over() -> ServerFrame {
    with(|ready| ready.session = Some(SessionGrant { lost_because: Some(LostBecause::NotFound), ..grant(false) }))
}

/// A new session with this id.
pub(crate) fn started_over_as(id: &str) -> ServerFrame {
    with(|ready| ready.session = Some(SessionGrant { id: id.to_owned(), ..grant(false) }))
}

/// The session is lost, and this one is somebody else's.
pub(crate) fn somebody_else() -> ServerFrame {
    with(|ready| ready.session = Some(SessionGrant { subject: "bob".to_owned(), ..grant(false) }))
}

pub(crate) fn ack(id: u64) -> ServerFrame {
    ServerFrame::Ack { id }
}

pub(crate) fn refusal(id: u64, code: &str) -> Refusal {
    Refusal::new(id, code)
}

pub(crate) fn nack(id: u64) -> ServerFrame {
    ServerFrame::Nack(refusal(id, "no"))
}

/// Refused, since `search` does not work.
pub(crate) fn impaired(id: u64) -> Refusal {
    Refusal { retry: true, service: Some("search".to_owned()), ..refusal(id, "service_impaired") }
}

pub(crate) fn message(offset: u64, text: &str) -> Message {
    let payload = Payload::parse(text).expect("JSON");
    Message { offset, event: "note".to_owned(), payload, re: None, end: false, error: None, asks: false }
}

pub(crate) fn part(offset: u64, re: u64, end: bool) -> ServerFrame {
    ServerFrame::Message(Message { re: Some(re), end, ..message(offset, "1") })
}

pub(crate) fn failed_part(offset: u64, re: u64, code: &str) -> ServerFrame {
    let error = Some(AnswerError { code: code.to_owned(), message: String::new() });
    ServerFrame::Message(Message { re: Some(re), end: true, error, ..message(offset, "null") })
}

pub(crate) fn bye(code: u64) -> Bye {
    Bye { code, reason: "the reason".to_owned(), class: None, retry_after_ms: None, clause: None }
}

pub(crate) fn hello() -> Hello {
    Hello { capabilities: vec!["resume".to_owned(), "answers".to_owned()], ..Hello::default() }
}

pub(crate) fn hello_text() -> String {
    ClientFrame::Hello(Box::new(hello())).encode()
}

/// The hello that a server finds in what a client offers.
pub(crate) fn hello_in(protocols: &[String]) -> Option<Hello> {
    let offered = protocols.iter().map(String::as_str);
    let mut server = ServerConnection::new(Default::default(), Instant::default(), "c-1".to_owned(), offered);
    match server.poll_event() {
        Some(ServerEvent::Hello(hello)) => Some(*hello),
        _ => None,
    }
}
