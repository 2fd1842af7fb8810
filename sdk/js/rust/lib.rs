//! The wasm module of the npm package: the run loop of the Rust SDK, behind one class that TypeScript wraps.
//!
//! Everything that crosses the boundary is a string, a number or a function.
#![cfg(target_arch = "wasm32")]
#![warn(missing_docs)]

mod alarm;
mod events;
mod options;
mod page;

use events::{Listener, Request, Sink};
use options::{How, Options};
use page::Page;
use readywire::clock;
use readywire::engine::{Happening, Input, Machine, Question};
use readywire_protocol::client::Client;
#[cfg(feature = "existing")]
use readywire_protocol::client::Existing;
#[cfg(feature = "topics")]
use readywire_protocol::client::{Position, Start};
use readywire_protocol::client::{SendOptions, TokenFailure};
#[cfg(feature = "questions")]
use readywire_protocol::frame::AnswerError;
use readywire_protocol::frame::Auth;
#[cfg(feature = "existing")]
use readywire_protocol::json::Object;
use readywire_protocol::json::Payload;
use readywire_protocol::time::Duration;
use std::rc::Rc;
use talc::wasm::{WasmDynamicTalc, new_wasm_dynamic_allocator};
use wasm_bindgen::prelude::wasm_bindgen;

/// Half the size of the default allocator. A page runs this module on one thread alone.
#[global_allocator]
static ALLOCATOR: WasmDynamicTalc = new_wasm_dynamic_allocator();

const FLAG_ANSWER: u32 = 1;
const FLAG_FAIL_FAST: u32 = 2;
const FLAG_STREAM: u32 = 4;

const FLAG_REFRESH: u32 = 1;
const FLAG_TICKET: u32 = 2;
const FLAG_FATAL: u32 = 4;

/// The engine of one client. What comes of the orders that its methods give is told to `on_event`, perhaps before they
/// return.
#[wasm_bindgen]
pub struct RawClient {
    page: Rc<Page>,
}

#[wasm_bindgen]
impl RawClient {
    /// Begins to connect. The options are a JSON text.
    #[wasm_bindgen(constructor)]
    pub fn new(url: String, options: &str, on_event: Listener) -> RawClient {
        let Options { config, frames, how } = Options::parse(&url, options);
        let core = match how {
            How::Anew => Machine::from(Client::new(config, clock::seed())),
            #[cfg(feature = "carry")]
            How::CarryOn(carried, answers) => Client::carry_on(config, clock::seed(), carried, &answers).into(),
            #[cfg(feature = "existing")]
            How::Existing(server) => Existing::new(config, server, clock::seed()).into(),
        };
        RawClient { page: Page::open(core, url, Sink::new(on_event, frames)) }
    }

    /// Answers a `token` event: the token, if there is one.
    #[wasm_bindgen(js_name = provideToken)]
    pub fn provide_token(&self, number: f64, flags: u32, token: Option<String>) {
        let scheme = if flags & FLAG_TICKET != 0 { "ticket" } else { "bearer" };
        let token = token.map(|token| Auth { scheme: scheme.to_owned(), token });
        self.page.happened(Happening::Token(question(number, flags), Ok(token)));
    }

    /// Answers a `token` event: why there is none, and whether asking again cannot help.
    #[wasm_bindgen(js_name = failToken)]
    pub fn fail_token(&self, number: f64, flags: u32, message: String) {
        let fatal = flags & FLAG_FATAL != 0;
        self.page.happened(Happening::Token(question(number, flags), Err(TokenFailure { message, fatal })));
    }

    /// Gives a message to the client. The payload is JSON text, as `JSON.stringify` makes it.
    // Everything that crosses the boundary is a string, a number or a function: there is no structure to put these into.
    #[allow(clippy::too_many_arguments)]
    pub fn send(
        &self,
        handle: f64,
        event: String,
        payload: &str,
        flags: u32,
        expire_after_ms: f64,
        key: Option<String>,
        topic: Option<String>,
    ) {
        let handle = handle as u64;
        self.give(match Payload::parse(payload) {
            Ok(payload) => {
                let options = send_options(flags, expire_after_ms, key, topic);
                Input::Send { handle, event, payload, options }
            }
            Err(error) => Input::Sink(Request::Refuse { handle, message: error.found }),
        });
    }

    /// As `send`, with bytes in place of JSON.
    #[cfg(feature = "binary")]
    #[allow(clippy::too_many_arguments)]
    #[wasm_bindgen(js_name = sendBytes)]
    pub fn send_bytes(
        &self,
        handle: f64,
        event: String,
        payload: Vec<u8>,
        flags: u32,
        expire_after_ms: f64,
        key: Option<String>,
        topic: Option<String>,
    ) {
        let options = send_options(flags, expire_after_ms, key, topic);
        self.give(Input::Send { handle: handle as u64, event, payload: payload.into(), options });
    }

    /// A part of the stream that the send `stream` has opened, as JSON text; with `end` nothing but the end.
    #[cfg(feature = "streams")]
    pub fn write(&self, handle: f64, stream: f64, payload: &str, end: bool) {
        let (handle, stream) = (handle as u64, stream as u64);
        self.give(match Payload::parse(payload) {
            _ if end => Input::EndStream { handle, stream },
            Ok(payload) => Input::Part { handle, stream, payload },
            Err(error) => Input::Sink(Request::Refuse { handle, message: error.found }),
        });
    }

    /// As `write`, with bytes in place of JSON.
    #[cfg(all(feature = "streams", feature = "binary"))]
    #[wasm_bindgen(js_name = writeBytes)]
    pub fn write_bytes(&self, handle: f64, stream: f64, payload: Vec<u8>) {
        self.give(Input::Part { handle: handle as u64, stream: stream as u64, payload: payload.into() });
    }

    /// Answers a question, as JSON text.
    #[cfg(feature = "questions")]
    pub fn reply(&self, handle: f64, question: f64, payload: &str) {
        let (handle, question) = (handle as u64, question as u64);
        self.give(match Payload::parse(payload) {
            Ok(payload) => Input::Answer { handle, question, answer: Ok(payload) },
            Err(error) => Input::Sink(Request::Refuse { handle, message: error.found }),
        });
    }

    /// As `reply`, with bytes in place of JSON.
    #[cfg(all(feature = "questions", feature = "binary"))]
    #[wasm_bindgen(js_name = replyBytes)]
    pub fn reply_bytes(&self, handle: f64, question: f64, payload: Vec<u8>) {
        self.give(Input::Answer { handle: handle as u64, question: question as u64, answer: Ok(payload.into()) });
    }

    /// Answers a question with why there is no answer.
    #[cfg(feature = "questions")]
    #[wasm_bindgen(js_name = replyError)]
    pub fn reply_error(&self, handle: f64, question: f64, code: String, message: String) {
        let answer = Err(AnswerError { code, message });
        self.give(Input::Answer { handle: handle as u64, question: question as u64, answer });
    }

    /// Answers a `token` event at an existing server: `{"messages": [...]}`.
    #[cfg(feature = "existing")]
    #[wasm_bindgen(js_name = provideOpening)]
    pub fn provide_opening(&self, number: f64, messages: &str) {
        let messages = Object::parse(messages).and_then(|object| object.strings("messages"));
        self.page.happened(Happening::Opening(number as u64, messages.map_err(|error| error.found.into())));
    }

    /// Gives a message for an existing server to the client.
    #[cfg(feature = "existing")]
    #[wasm_bindgen(js_name = sendText)]
    pub fn send_text(&self, handle: f64, text: String, flags: u32, expire_after_ms: f64) {
        let options = send_options(flags, expire_after_ms, None, None);
        self.give(Input::Text { handle: handle as u64, text, options });
    }

    /// Follows a topic, from behind this offset on; if it is below 0, from now on, and so many of the latest before.
    #[cfg(feature = "topics")]
    pub fn subscribe(&self, handle: f64, topic: String, offset: f64, epoch: Option<String>, last: f64) {
        let from = if offset >= 0.0 {
            Start::Behind(Position { offset: offset as u64, epoch })
        } else if last > 0.0 {
            Start::Last(last as u64)
        } else {
            Start::Now
        };
        self.give(Input::Subscribe { handle: handle as u64, topic, from });
    }

    /// Asks for a page of what a topic has had, below this offset, or at the head if it is below 0.
    #[cfg(feature = "topics")]
    pub fn history(&self, handle: f64, topic: String, limit: f64, before: f64, epoch: Option<String>) {
        let before = (before >= 0.0).then_some(Position { offset: before as u64, epoch });
        self.give(Input::History { handle: handle as u64, topic, limit: limit as u64, before });
    }

    /// Stops an answer or a subscription, or gives a page up; idempotent.
    pub fn cancel(&self, handle: f64) {
        self.give(Input::Cancel { handle: handle as u64 });
    }

    /// Gives a send up: withdrawn if it was never written, unknown if it was.
    pub fn abandon(&self, handle: f64) {
        self.give(Input::Abandon { handle: handle as u64 });
    }

    /// Refuses new sends, lets those under way be decided until the deadline, and ends the session.
    pub fn close(&self, deadline_ms: f64) {
        self.give(Input::Close { deadline: milliseconds(deadline_ms) });
    }

    /// The page is visible or online again: finds out whether the connection still lives.
    pub fn wake(&self) {
        self.give(Input::Wake);
    }

    fn give(&self, input: Input<Request>) {
        self.page.happened(Happening::Input(input));
    }
}

impl Drop for RawClient {
    fn drop(&mut self) {
        self.give(Input::Close { deadline: Duration::ZERO });
    }
}

/// The question that a `token` event asked.
fn question(number: f64, flags: u32) -> Question {
    if flags & FLAG_REFRESH != 0 { Question::Refresh(number as u64) } else { Question::Attempt(number as u64) }
}

fn send_options(flags: u32, expire_after_ms: f64, key: Option<String>, topic: Option<String>) -> SendOptions {
    SendOptions {
        answer: flags & FLAG_ANSWER != 0,
        fail_fast: flags & FLAG_FAIL_FAST != 0,
        // Zero stands for "no limit of its own".
        expire_after: Some(milliseconds(expire_after_ms)).filter(|age| !age.is_zero()),
        key,
        topic,
        stream: cfg!(feature = "streams") && flags & FLAG_STREAM != 0,
    }
}

/// A number that comes from the application: what is negative or no number is zero, what is longer than a year is a year.
fn milliseconds(value: f64) -> Duration {
    Duration::from_millis(value.clamp(0.0, 31_536_000_000.0) as u64)
}
