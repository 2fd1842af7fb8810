//! The protocol in front of an existing WebSocket application, which stays as it is: `readywire-server gateway`.
//!
//! Each session has a connection to that application, its *upstream*. A Readywire client is told ready when the upstream
//! is: when a message of it fits the rule ([`ReadyRule`]). Without a rule nobody knows, and that is said: the connection
//! begins DEGRADED, with `upstream_unconfirmed` in `impaired`. The upstream lives as long as the session, so it outlasts
//! cuts between client and gateway; when it ends, the session ends with it, since what that application knew of its
//! client is gone: with 1000 if the application closed with 1000, else with 4202, and the client begins anew.
//!
//! A text that is JSON comes as the event `json`, with the text as its payload; any other as the event `text`, with a
//! string. Sends have the same two events. A send is acknowledged when it was written to the upstream; what the
//! application does with it, nobody tells.

mod rule;
mod upstream;

pub use rule::ReadyRule;
pub(crate) use upstream::{Seen, Upstream};

use crate::application::{Inbox, Rejection, Undeliverable};
use crate::hub::Hub;
use crate::log::Head;
use crate::secrets;
use crate::session_inbox::SessionInbox;
use crate::sessions::Address;
use readywire_protocol::config::Window;
use readywire_protocol::frame::Resume;
use readywire_protocol::json::Payload;
use readywire_protocol::server::SessionMessage;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How many tokens of a session are known; a server keeps no more (clause `session.token`).
const TOKENS: usize = 8;

/// What stands in `impaired` when there is no rule.
pub const UNCONFIRMED: &str = "upstream_unconfirmed";

/// How the application behind is reached.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its address.
    pub url: String,
    /// Its subprotocols, in the order in which they are offered; it has to select one.
    pub protocols: Vec<String>,
    /// The messages that each connection begins with; `${token}` and `${subject}` stand for the client's.
    pub opening: Vec<String>,
    /// When it is ready.
    pub ready_when: Option<ReadyRule>,
    /// How long that may take, from the first attempt on.
    pub ready_timeout: Duration,
    /// Whether the client's token is passed on as `Authorization: Bearer`.
    pub forward_token: bool,
}

/// The upstreams of a server.
pub struct Gateway {
    target: Arc<Target>,
    /// What is held for a client without the protocol.
    pub(crate) held: Window,
    entries: Mutex<HashMap<Arc<str>, Entry>>,
}

impl fmt::Debug for Gateway {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Gateway").field("target", &self.target).finish_non_exhaustive()
    }
}

impl Gateway {
    /// A gateway with no upstream yet.
    pub fn new(target: Target) -> Arc<Self> {
        Arc::new(Self { target: Arc::new(target), held: Window::default(), entries: Mutex::default() })
    }

    /// The subprotocols of the application behind.
    pub(crate) fn protocols(&self) -> &[String] {
        &self.target.protocols
    }

    /// What each connection is impaired by from its beginning.
    pub(crate) fn impairment(&self) -> Option<String> {
        self.target.ready_when.is_none().then(|| UNCONFIRMED.to_owned())
    }

    /// Begins to connect for a client.
    pub(crate) fn open(&self, subject: &str, token: Option<&str>) -> Arc<Upstream> {
        Upstream::open(self.target.clone(), subject, token)
    }

    /// The upstream of the session that this token resumes, if both live. Only `bind` decides whether it is resumed.
    pub(crate) fn of(&self, subject: &str, resume: &Resume) -> Option<Arc<Upstream>> {
        let presented = secrets::hash(&resume.token);
        let all = self.entries();
        let entry = all.get(resume.session.as_str())?;
        let proven = entry.subject == subject && entry.tokens.contains(&presented);
        Some(entry.upstream.clone()).filter(|upstream| proven && !upstream.is_lost())
    }

    /// The session goes on with another token, which proves it as well.
    pub(crate) fn renew(&self, session: &str, token: &str) {
        if let Some(entry) = self.entries().get_mut(session) {
            entry.remember(token);
        }
    }

    /// A session has begun with this upstream: what comes from it goes into the session's inbox, as there is room.
    pub(crate) fn attach(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        address: &Address,
        subject: &str,
        token: &str,
        upstream: &Arc<Upstream>,
    ) {
        let mut entry = Entry { subject: subject.to_owned(), tokens: VecDeque::new(), upstream: upstream.clone() };
        entry.remember(token);
        self.entries().insert(address.id.clone(), entry);
        let Some(mut messages) = upstream.messages() else { return };
        let (gateway, hub, address) = (Arc::downgrade(self), hub.clone(), address.clone());
        tokio::spawn(async move {
            let inbox = SessionInbox { hub: hub.clone(), address: address.clone(), stream: None };
            // The log ends a session by itself when its time is over.
            let mut session = hub.store.watch_inbox(&address).await.ok();
            loop {
                let text = tokio::select! {
                    text = messages.recv() => text,
                    () = over(session.as_mut()) => None,
                };
                let Some(text) = text else { break };
                match inbox.append(message(text)).await {
                    Ok(()) => {}
                    Err(Undeliverable::TooLarge) => tracing::warn!(session = %address.id, "too large a message"),
                    Err(_) => break,
                }
            }
            drop(messages);
            if let Some(gateway) = gateway.upgrade() {
                gateway.forget(&address.id);
            }
            // One that has a connection is ended by it, with the reason.
            if !hub.holds(&address) {
                let _ = hub.store.end(&address).await;
            }
        });
    }

    /// A session is over: its upstream may go.
    pub(crate) fn forget(&self, session: &str) {
        self.entries().remove(session);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Arc<str>, Entry>> {
        // Whole at every step.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's upstream, and what proves the session.
struct Entry {
    subject: String,
    /// The hashes of the latest tokens that it was given.
    tokens: VecDeque<[u8; 32]>,
    upstream: Arc<Upstream>,
}

impl Entry {
    fn remember(&mut self, token: &str) {
        if self.tokens.len() == TOKENS {
            self.tokens.pop_front();
        }
        self.tokens.push_back(secrets::hash(token));
    }
}

/// Ends when the session does.
async fn over(session: Option<&mut watch::Receiver<Head>>) {
    if let Some(session) = session {
        while session.changed().await.is_ok() {}
    }
}

/// What the upstream says, as a message of the session.
fn message(text: String) -> SessionMessage {
    let (event, payload) = match Payload::parse(&text) {
        Ok(payload) => ("json", payload),
        Err(_) => {
            ("text", Payload::parse(&serde_json::Value::from(text).to_string()).unwrap_or_else(|_| Payload::null()))
        }
    };
    SessionMessage { event: event.to_owned(), payload, re: None, end: false, error: None, asks: false }
}

/// What a send says to the upstream.
pub(crate) fn text_of(event: &str, payload: &Payload) -> Result<String, Rejection> {
    let reject = |message: &str| Rejection::new("unknown_event", message);
    let text = payload.text().ok_or_else(|| reject("the application behind takes text"))?;
    match event {
        "json" => Ok(text.to_owned()),
        "text" => serde_json::from_str(text).map_err(|_| reject("the payload of `text` is a string")),
        _ => Err(reject("the events are `json` and `text`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart_and_stay_as_they_were() {
        let sent = message(r#"{"n": 1.0,  "n": 2}"#.to_owned());
        assert_eq!((sent.event.as_str(), sent.payload.text()), ("json", Some(r#"{"n": 1.0,  "n": 2}"#)));
        let sent = message("hello \"you\"".to_owned());
        assert_eq!((sent.event.as_str(), sent.payload.text()), ("text", Some(r#""hello \"you\"""#)));
        for event in [message("plain".to_owned()), message("[1]".to_owned())] {
            let back = text_of(&event.event, &event.payload).unwrap();
            assert!(back == "plain" || back == "[1]");
        }
        assert!(text_of("text", &Payload::parse("7").unwrap()).is_err());
        assert!(text_of("other", &Payload::null()).is_err());
    }
}
