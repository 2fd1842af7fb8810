//! Servers that stand on one log, and have little else: each connection can be told that its server goes away.

use futures::{SinkExt, StreamExt};
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{Hello, Send, SessionGrant};
use readywire_protocol::server::{
    Bound, Credentials, Decision, SecretHash, ServerConnection, ServerEvent, Sessions, Take, Transmit,
};
use readywire_protocol::time::Instant;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message};

/// How long a connection goes on behind its `drain`.
const DRAIN: Duration = Duration::from_secs(20);
/// A message at which a server dies before it has taken it.
pub(crate) const POISON: &str = "poison";

pub(crate) struct Cluster {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    origin: tokio::time::Instant,
    sessions: Mutex<Sessions>,
    taken: Mutex<Vec<String>>,
    connections: AtomicU64,
    /// Connections up to this one are told that their server goes away.
    drained: watch::Sender<u64>,
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Cluster {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            origin: tokio::time::Instant::now(),
            sessions: Mutex::new(Sessions::new(ServerConfig::default())),
            taken: Mutex::default(),
            connections: AtomicU64::new(0),
            drained: watch::Sender::new(0),
        });
        let serving = tokio::spawn({
            let shared = shared.clone();
            async move {
                loop {
                    let socket = listener.accept().await.unwrap().0;
                    tokio::spawn(serve(shared.clone(), socket));
                }
            }
        });
        Self { address, shared, serving }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.address)
    }

    /// Every payload that was taken, in that order.
    pub(crate) fn taken(&self) -> Vec<String> {
        self.shared.taken.lock().unwrap().clone()
    }

    /// How many connections there were.
    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// The servers of all connections go away, and others take their places.
    pub(crate) fn drain(&self) {
        self.shared.drained.send_replace(self.connections());
    }
}

impl Shared {
    fn now(&self) -> Instant {
        Instant::from_origin(self.origin.elapsed())
    }

    fn bind(&self, core: &mut ServerConnection, owner: u64, hello: &Hello) -> Option<String> {
        let now = self.now();
        core.authenticated(now);
        core.services_ready(now);
        let token = format!("token {owner}");
        let credentials = Credentials {
            subject: "alice".to_owned(),
            owner,
            presented: hello.resume.as_ref().map(|resume| hash(&resume.token)),
            fresh_id: format!("session {owner}"),
            fresh_token: hash(&token),
        };
        let Ok(binding) = self.sessions.lock().unwrap().bind(now, credentials, hello.resume.as_ref()) else {
            core.refuse(4013, "a later attempt has the session", None);
            return None;
        };
        let session = SessionGrant {
            id: binding.id.clone(),
            token,
            ttl_ms: 120_000,
            resumed: binding.resumed,
            lost_because: None,
            subject: "alice".to_owned(),
            durability: "durable".to_owned(),
        };
        core.ready(Bound {
            session: Some(session),
            received: binding.received,
            refused: binding.refused,
            inbox: binding.inbox,
            impaired: Vec::new(),
            token_expires_in: None,
        });
        Some(binding.id)
    }

    fn take(&self, core: &mut ServerConnection, session: &str, owner: u64, send: &Send) {
        let now = self.now();
        match self.sessions.lock().unwrap().take(now, session, owner, send, None) {
            Take::New => {
                self.taken.lock().unwrap().push(send.payload.text().unwrap_or_default().to_owned());
                core.decide(now, send.id, Decision::Taken);
            }
            Take::Again(decision) => core.decide(now, send.id, decision),
            Take::Fenced => core.refuse(4013, "a later attempt has the session", None),
        }
    }
}

async fn serve(shared: Arc<Shared>, socket: TcpStream) {
    let mut offered = Vec::new();
    #[expect(clippy::result_large_err, reason = "the library asks for it")]
    let select = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        let entries = request.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        offered = entries.unwrap_or_default().split(',').map(|entry| entry.trim().to_owned()).collect();
        response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("readywire.v1"));
        Ok(response)
    };
    let Ok(mut stream) = accept_hdr_async(socket, select).await else { return };
    let owner = shared.connections.fetch_add(1, Ordering::SeqCst) + 1;
    let protocols = offered.iter().map(String::as_str);
    let mut core = ServerConnection::new(ServerConfig::default(), shared.now(), format!("c-{owner}"), protocols);
    let mut session = None;
    let mut drained = shared.drained.subscribe();
    let mut deadline = None;
    let mut over = false;
    loop {
        while let Some(event) = core.poll_event() {
            match event {
                ServerEvent::Hello(hello) => session = shared.bind(&mut core, owner, &hello),
                // Gone without a word, and nothing was taken.
                ServerEvent::Send(send) if send.payload.text().is_some_and(|text| text.contains(POISON)) => return,
                ServerEvent::Send(send) => shared.take(&mut core, session.as_deref().unwrap_or_default(), owner, &send),
                ServerEvent::Closed(ending) => {
                    over = true;
                    let mut sessions = shared.sessions.lock().unwrap();
                    match &session {
                        Some(session) if ending.ends_session => sessions.end(session, owner),
                        Some(session) => sessions.detach(shared.now(), session, owner),
                        None => {}
                    }
                }
                _ => {}
            }
        }
        while let Some(transmit) = core.poll_transmit() {
            let message = match transmit {
                Transmit::Text(text) => Message::text(text),
                Transmit::Binary(message) => Message::binary(message),
                Transmit::Close { code, reason } => {
                    Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))
                }
            };
            if stream.send(message).await.is_err() {
                return;
            }
        }
        if over {
            return;
        }
        let timer = core.poll_timeout().map_or(DRAIN, |at| at.saturating_since(shared.now()));
        tokio::select! {
            message = stream.next() => match message {
                Some(Ok(Message::Text(text))) => core.handle_message(shared.now(), &text),
                Some(Ok(Message::Close(_)) | Err(_)) | None => core.handle_closed(None),
                Some(Ok(_)) => {}
            },
            _ = drained.wait_for(|last| owner <= *last), if deadline.is_none() => {
                deadline = Some(tokio::time::Instant::now() + DRAIN);
                core.drain(DRAIN, (Duration::ZERO, Duration::from_millis(20)));
            }
            () = tokio::time::sleep_until(deadline.unwrap_or_else(tokio::time::Instant::now)), if deadline.is_some() => {
                core.refuse(4301, "the server is going away", None);
            }
            () = tokio::time::sleep(timer) => core.handle_timeout(shared.now()),
        }
    }
}

/// Not a hash, but as good here: tokens differ in their numbers.
fn hash(token: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    for (place, byte) in hash.iter_mut().zip(token.bytes()) {
        *place = byte;
    }
    hash
}
