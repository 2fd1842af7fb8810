//! From an address to a client that the server has confirmed.

use crate::client::{Client, Line};
use crate::clock;
use crate::credential::TokenReason;
use crate::driver::{self, Provider};
use crate::engine::{Happening, Input, Question};
use crate::error::ConnectError;
use crate::front::{Front, Request, current};
use crate::limits::Limits;
use crate::options::Options;
use crate::transport::{self, TaskFuture};
use futures::future::{Either, select};
use futures::{FutureExt, StreamExt};
use readywire_protocol::client::{Client as Core, ClientState, StateChange};
use std::pin::pin;
use std::sync::{Arc, RwLock};
use std::time::Duration;
use tracing::Instrument;

/// Connects to `url`, and resolves when the server has said on this very connection that it will process the next message
/// (clause `ready.gate`). Failures that a retry can mend are retried until the options' `ready_timeout`.
///
/// # Errors
/// How far it came, what was pending, and what to do.
pub async fn connect(url: &str, options: Options) -> Result<Client, ConnectError> {
    check(url)?;
    let state = Arc::new(RwLock::new(nothing_confirmed()));
    let Options { limits, provider, line: Line { link, inputs } } = options;
    let Limits { mut config, ready_timeout, close_deadline } = limits;
    url.clone_into(&mut config.address);
    let core = Core::new(config, clock::seed());
    let run = driver::run(core, url.to_owned(), inputs, Front::new(state.clone()), Provided(provider));
    let client = Client { link, state, close_deadline };
    // Asked for before the loop runs, so that no change is missed.
    let mut progress = Progress { states: client.states(), last: current(&client.state) };
    let mut end = Box::pin({
        let client = client.clone();
        async move { client.closed().await }
    });
    let _ = (&mut end).now_or_never();
    transport::spawn(run.instrument(tracing::info_span!("readywire", url)));
    match progress.within(ready_timeout).await {
        Some(true) => Ok(client),
        Some(false) => Err(match end.await {
            Some(end) => ConnectError::Closed(end),
            None => progress.timeout(),
        }),
        None => {
            client.link.give(Input::Close { deadline: Duration::ZERO });
            Err(progress.timeout())
        }
    }
}

/// Whether there is any sense in trying.
pub(crate) fn check(url: &str) -> Result<(), ConnectError> {
    if !url.starts_with("ws://") && !url.starts_with("wss://") {
        let message = format!("`{url}` is not a WebSocket address: it begins with ws:// or wss://");
        return Err(ConnectError::Misuse { message });
    }
    if !transport::can_spawn() {
        let message = "there is no tokio runtime here: call `connect` from within one".to_owned();
        return Err(ConnectError::Misuse { message });
    }
    Ok(())
}

/// Before anything happened.
pub(crate) const fn nothing_confirmed() -> StateChange {
    StateChange {
        state: ClientState::Connecting,
        previous: ClientState::Connecting,
        pending: Vec::new(),
        impaired: Vec::new(),
        reason: None,
        connection: None,
        attempt: 0,
        handover: false,
        retry_at: None,
        code: None,
    }
}

/// What is known of the attempts so far.
pub(crate) struct Progress {
    pub(crate) states: crate::messages::States,
    pub(crate) last: StateChange,
}

impl Progress {
    /// Whether the server is ready, or will never confirm that it is; false if it is over, `None` if neither came in time.
    pub(crate) async fn within(&mut self, timeout: Duration) -> Option<bool> {
        match select(pin!(self.until_ready()), pin!(clock::sleep(timeout))).await {
            Either::Left((ready, _)) => Some(ready),
            Either::Right(_) => None,
        }
    }

    async fn until_ready(&mut self) -> bool {
        while let Some(change) = self.states.next().await {
            match change.state {
                ClientState::Closed => return false,
                state if state.is_ready() || state == ClientState::Unconfirmed => return true,
                // How far it came counts, not that the next attempt is at its beginning.
                ClientState::Connecting if change.reason.is_some() => {
                    self.last.reason = change.reason;
                    self.last.code = change.code;
                }
                // What an existing server's open socket waits for.
                ClientState::Connecting if !change.pending.is_empty() => self.last.pending = change.pending,
                ClientState::Connecting => {}
                _ => self.last = StateChange { reason: self.last.reason.take(), code: self.last.code, ..change },
            }
        }
        false
    }

    pub(crate) fn timeout(self) -> ConnectError {
        let StateChange { state, pending, reason, code, .. } = self.last;
        ConnectError::Timeout { stage: state, pending, reason, code }
    }
}

struct Provided(Option<crate::options::Provider>);

impl Provider<Request> for Provided {
    fn ask(&mut self, question: Question) -> TaskFuture<Happening<Request>> {
        let reason = match question {
            Question::Attempt(_) => TokenReason::Connect,
            Question::Refresh(_) => TokenReason::Refresh,
        };
        let token = self.0.as_mut().map(|provider| provider(reason));
        let token = async move {
            let Some(token) = token else { return Ok(None) };
            let auth = token.await?.into_auth();
            Ok(Some(auth))
        };
        Box::pin(async move { Happening::Token(question, token.await) })
    }
}
