//! The wasm module of the npm package: the run loop of the Rust SDK, behind one class that TypeScript wraps.
//!
//! Everything that crosses the boundary is a string, a number or a function.
#![cfg(target_arch = "wasm32")]
#![warn(missing_docs)]

mod events;
mod options;

use events::Sink;
use futures::channel::mpsc;
use js_sys::{Function, Object, Promise, Reflect};
use readywire::driver::{self, Input, TokenSource};
use readywire::transport::{self, TaskFuture};
use readywire::{TokenFailure, clock};
use readywire_protocol::client::{Client, SendOptions, TokenResult};
use readywire_protocol::frame::Auth;
use readywire_protocol::json::Payload;
use readywire_protocol::time::Duration;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};
use wasm_bindgen_futures::JsFuture;

const FLAG_ANSWER: u32 = 1;
const FLAG_FAIL_FAST: u32 = 2;

/// The engine of one client. Its methods give orders and return at once; what comes of them is told to `on_event`.
#[derive(Debug)]
#[wasm_bindgen]
pub struct RawClient {
    inputs: mpsc::UnboundedSender<Input<()>>,
}

#[wasm_bindgen]
impl RawClient {
    /// Begins to connect.
    #[wasm_bindgen(constructor)]
    pub fn new(url: String, options: &Object, on_event: Function, token: Function) -> RawClient {
        let (inputs, receiver) = mpsc::unbounded();
        let frames = options::flag(options, "frames").unwrap_or(false);
        let core = Client::new(options::config(options), clock::seed());
        transport::spawn(driver::run(core, url, receiver, Sink::new(on_event, frames), Provider(token)));
        RawClient { inputs }
    }

    /// Gives a message to the client. The payload is JSON text, as `JSON.stringify` makes it.
    pub fn send(
        &self,
        handle: f64,
        event: String,
        payload: &str,
        flags: u32,
        expire_after_ms: f64,
        key: Option<String>,
    ) -> Result<(), JsValue> {
        let payload = Payload::parse(payload).map_err(|error| JsValue::from_str(&error.found))?;
        let options = SendOptions {
            answer: flags & FLAG_ANSWER != 0,
            fail_fast: flags & FLAG_FAIL_FAST != 0,
            // Zero is TypeScript's word for "no limit of its own".
            expire_after: options::milliseconds(expire_after_ms).filter(|limit| !limit.is_zero()),
            key,
        };
        self.give(Input::Send { handle: handle as u64, event, payload, options });
        Ok(())
    }

    /// Stops an answer; idempotent.
    pub fn cancel(&self, handle: f64) {
        self.give(Input::Cancel { handle: handle as u64 });
    }

    /// Gives a send up: withdrawn if it was never written, unknown if it was.
    pub fn abandon(&self, handle: f64) {
        self.give(Input::Abandon { handle: handle as u64 });
    }

    /// Refuses new sends, lets those under way be decided until the deadline, and ends the session.
    pub fn close(&self, deadline_ms: f64) {
        self.give(Input::Close { deadline: options::milliseconds(deadline_ms).unwrap_or(Duration::ZERO) });
    }

    /// The page is visible or online again: finds out whether the connection still lives.
    pub fn wake(&self) {
        self.give(Input::Wake);
    }

    fn give(&self, input: Input<()>) {
        // Once the loop has ended, `closed` was told, and nothing is left to be done.
        let _ = self.inputs.unbounded_send(input);
    }
}

struct Provider(Function);

impl TokenSource for Provider {
    fn token(&mut self) -> TaskFuture<TokenResult> {
        let asked = self.0.call0(&JsValue::NULL);
        Box::pin(async move {
            let promise: Promise = asked.map(|value| Promise::resolve(&value)).map_err(failure)?;
            let token = JsFuture::from(promise).await.map_err(failure)?;
            Ok(token.as_string().map(|token| Auth { scheme: "bearer".to_owned(), token }))
        })
    }
}

/// What a provider threw. It is final if it says so itself, by a property `retryable` that is false.
fn failure(thrown: JsValue) -> TokenFailure {
    let message = thrown.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message()));
    let fatal = Reflect::get(&thrown, &"retryable".into()).is_ok_and(|retryable| retryable == JsValue::FALSE);
    TokenFailure { message: message.or_else(|| thrown.as_string()).unwrap_or_default(), fatal }
}
