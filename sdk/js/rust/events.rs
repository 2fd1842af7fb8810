//! Events as the TypeScript side reads them: one JSON text each, and the payload beside it.

use readywire::engine::{Direction, EventSink, Question};
use readywire::{clock, remedy};
use readywire_protocol::client::{AnswerPart, ClientEvent, ClientState, End, Outcome, Rejection, StateChange};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::json::{ObjectWriter, Payload};
use readywire_protocol::time::milliseconds;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    /// The function that is told.
    pub type Listener;

    #[wasm_bindgen(method, catch)]
    fn call(this: &Listener, context: &JsValue, event: &str, payload: Option<&str>) -> Result<bool, JsValue>;
    // The TypeScript side sees the bytes where they are, and copies them before it comes back.
    #[wasm_bindgen(method, catch, js_name = call)]
    fn call_with_bytes(this: &Listener, context: &JsValue, event: &str, payload: &[u8]) -> Result<(), JsValue>;
}

/// What is told without the core.
pub(crate) enum Request {
    /// A token is wanted.
    AskToken(Question),
    /// A send whose payload the protocol cannot carry.
    Refuse { handle: u64, message: String },
}

pub(crate) struct Sink {
    on_event: Listener,
    frames: bool,
    state: ClientState,
}

impl Sink {
    pub(crate) fn new(on_event: Listener, frames: bool) -> Self {
        Self { on_event, frames, state: ClientState::Connecting }
    }

    /// Tells something; true if that was a question, and the answer is yes.
    fn tell(&self, event: ObjectWriter, payload: Option<&str>) -> bool {
        // The TypeScript side catches what the application throws.
        self.on_event.call(&JsValue::NULL, &event.finish(), payload).unwrap_or_default()
    }

    fn tell_payload(&self, event: ObjectWriter, payload: &Payload) {
        match payload.bytes() {
            Some(bytes) if cfg!(feature = "binary") => {
                drop(self.on_event.call_with_bytes(&JsValue::NULL, &event.finish(), bytes))
            }
            _ => drop(self.tell(event, payload.text())),
        }
    }

    fn state(&mut self, change: StateChange) {
        self.state = change.state;
        let mut event = ObjectWriter::typed("state");
        event.string("state", change.state.name());
        event.string("previous", change.previous.name());
        event.all_strings("pending", &change.pending);
        event.all_strings("impaired", &change.impaired);
        nullable(&mut event, "reason", change.reason.as_deref());
        nullable(&mut event, "connection", change.connection.as_deref());
        event.integer("attempt", change.attempt);
        event.boolean("handover", change.handover);
        let wait = change.retry_at.map(|at| milliseconds(at.saturating_since(clock::now())));
        nullable_integer(&mut event, "retryInMs", wait);
        nullable_integer(&mut event, "code", change.code.map(u64::from));
        self.tell(event, None);
    }

    fn settled(&self, handle: u64, outcome: Outcome) {
        let mut event = sending(
            handle,
            match &outcome {
                Outcome::Acknowledged { .. } => "acknowledged",
                Outcome::Written { .. } => "written",
                Outcome::Refused(_) => "refused",
                Outcome::Expired => "expired",
                Outcome::Unknown { .. } => "unknown",
            },
        );
        match outcome {
            Outcome::Acknowledged { id } => event.integer("id", id),
            Outcome::Written { attempt } => event.integer("attempt", attempt),
            Outcome::Refused(rejection) => {
                event.string("code", &rejection.code);
                event.string("message", &rejection.message);
                event.boolean("retry", rejection.retry);
                if let Some(after) = rejection.retry_after {
                    event.integer("retryAfterMs", milliseconds(after));
                }
                nullable(&mut event, "service", rejection.service.as_deref());
            }
            Outcome::Expired => {}
            Outcome::Unknown { code } => event.string("code", code),
        }
        event.string("stage", self.state.name());
        self.tell(event, None);
    }

    fn answer(&self, part: &AnswerPart) {
        let mut event = ObjectWriter::typed("answer");
        event.integer("handle", part.handle);
        event.integer("offset", part.offset);
        event.string("event", &part.event);
        event.boolean("end", part.end);
        match &part.error {
            Some(error) => {
                let mut inner = ObjectWriter::new();
                inner.string("code", &error.code);
                inner.string("message", &error.message);
                event.raw("error", &inner.finish());
            }
            None => event.raw("error", "null"),
        }
        self.tell_payload(event, &part.payload);
    }

    fn closed(&self, end: &End) {
        let mut event = ObjectWriter::typed("closed");
        event.integer("code", u64::from(end.code));
        event.string("reason", &end.reason);
        nullable(&mut event, "clause", end.clause.as_deref());
        event.string("stage", end.last_state().name());
        event.all_strings("pending", &end.pending);
        event.boolean("retryable", remedy::retryable(end));
        event.string("remedy", remedy::remedy(end));
        self.tell(event, None);
    }
}

impl EventSink for Sink {
    type Request = Request;

    fn request(&mut self, request: Request) {
        match request {
            Request::AskToken(question) => {
                let mut event = ObjectWriter::typed("token");
                let (reason, number) = match question {
                    Question::Attempt(number) => ("connect", number),
                    Question::Refresh(number) => ("refresh", number),
                };
                event.string("reason", reason);
                event.integer("number", number);
                self.tell(event, None);
            }
            Request::Refuse { handle, message } => {
                let code = "payload_invalid".to_owned();
                self.settled(
                    handle,
                    Outcome::Refused(Rejection { code, message, retry: false, retry_after: None, service: None }),
                );
            }
        }
    }

    fn event(&mut self, event: ClientEvent) -> Option<u64> {
        match event {
            ClientEvent::State(change) => self.state(change),
            ClientEvent::Session { id, resumed } => {
                let mut event = ObjectWriter::typed("session");
                event.string("id", &id);
                event.boolean("resumed", resumed);
                self.tell(event, None);
            }
            ClientEvent::Carried(carried) if cfg!(feature = "carry") => {
                let mut event = ObjectWriter::typed("carried");
                nullable(&mut event, "state", carried.map(|carried| carried.encode()).as_deref());
                self.tell(event, None);
            }
            ClientEvent::InFlight { handle, id } => {
                let mut event = sending(handle, "in_flight");
                event.integer("id", id);
                self.tell(event, None);
            }
            ClientEvent::Queued { handle } if cfg!(feature = "streams") => {
                self.tell(sending(handle, "queued"), None);
            }
            ClientEvent::Held { handle, service } => {
                let mut event = sending(handle, "held");
                event.string("service", &service);
                self.tell(event, None);
            }
            ClientEvent::Settled { handle, outcome } => self.settled(handle, outcome),
            ClientEvent::Message { offset, event: name, payload } => {
                let mut event = ObjectWriter::typed("message");
                event.integer("offset", offset);
                event.string("event", &name);
                self.tell_payload(event, &payload);
            }
            ClientEvent::Question { question, offset, event: name, payload } if cfg!(feature = "questions") => {
                let mut event = ObjectWriter::typed("question");
                event.integer("question", question);
                event.integer("offset", offset);
                event.string("event", &name);
                self.tell_payload(event, &payload);
            }
            ClientEvent::Withdrawn { question } if cfg!(feature = "questions") => {
                let mut event = ObjectWriter::typed("withdrawn");
                event.integer("question", question);
                self.tell(event, None);
            }
            ClientEvent::Text(text) if cfg!(feature = "existing") => {
                self.tell(ObjectWriter::typed("text"), Some(&text));
            }
            ClientEvent::Answer(part) => self.answer(&part),
            ClientEvent::Subscribed { handle, offset, head, epoch, recovered } if cfg!(feature = "topics") => {
                let mut event = topical("subscribed", handle, offset);
                event.integer("head", head);
                event.string("epoch", &epoch);
                event.boolean("recovered", recovered);
                self.tell(event, None);
            }
            ClientEvent::Publication { handle, offset, event: name, payload } if cfg!(feature = "topics") => {
                let mut event = topical("publication", handle, offset);
                event.string("event", &name);
                self.tell_payload(event, &payload);
            }
            ClientEvent::Page(page) if cfg!(feature = "topics") => {
                for publication in &page.publications {
                    let mut event = topical("paged", page.handle, publication.offset);
                    event.string("event", &publication.event);
                    self.tell_payload(event, &publication.payload);
                }
                let mut event = topical("page", page.handle, 0);
                event.string("epoch", &page.epoch);
                event.integer("head", page.head);
                event.boolean("more", page.more);
                self.tell(event, None);
            }
            ClientEvent::Unsubscribed { handle, code, retry } | ClientEvent::PageRefused { handle, code, retry }
                if cfg!(feature = "topics") =>
            {
                let mut event = topical("unsubscribed", handle, 0);
                event.string("code", &code);
                event.boolean("retry", retry);
                self.tell(event, None);
            }
            ClientEvent::Closed(end) => self.closed(&end),
            // What it means to parts and to the answer is told of these.
            ClientEvent::StreamOver { .. } => {}
            // Of a capability that this build does not have.
            ClientEvent::Carried(_)
            | ClientEvent::Queued { .. }
            | ClientEvent::Question { .. }
            | ClientEvent::Withdrawn { .. }
            | ClientEvent::Text(_)
            | ClientEvent::Subscribed { .. }
            | ClientEvent::Publication { .. }
            | ClientEvent::Unsubscribed { .. }
            | ClientEvent::Page(_)
            | ClientEvent::PageRefused { .. } => {}
        }
        None
    }

    fn says_ready(&mut self, text: &str) -> bool {
        self.tell(ObjectWriter::typed("rule"), Some(text))
    }

    fn stops(&mut self, frame: &CloseFrame) -> bool {
        let mut event = ObjectWriter::typed("stop");
        event.integer("code", u64::from(frame.code));
        self.tell(event, Some(&frame.reason))
    }

    fn frame(&mut self, direction: Direction, text: &str, beside: Option<usize>) {
        if !self.frames {
            return;
        }
        let mut event = ObjectWriter::typed("frame");
        event.string(
            "direction",
            match direction {
                Direction::In => "in",
                Direction::Out => "out",
            },
        );
        // The TypeScript side takes the tokens out (clause `upgrade.redact`).
        event.string("text", text);
        event.optional_integer("bytes", beside.map(|bytes| bytes as u64));
        self.tell(event, None);
    }
}

fn topical(kind: &str, handle: u64, offset: u64) -> ObjectWriter {
    let mut event = ObjectWriter::typed(kind);
    event.integer("handle", handle);
    event.integer("offset", offset);
    event
}

fn sending(handle: u64, state: &str) -> ObjectWriter {
    let mut event = ObjectWriter::typed("send");
    event.integer("handle", handle);
    event.string("state", state);
    event
}

fn nullable(event: &mut ObjectWriter, name: &str, value: Option<&str>) {
    match value {
        Some(value) => event.string(name, value),
        None => event.raw(name, "null"),
    }
}

fn nullable_integer(event: &mut ObjectWriter, name: &str, value: Option<u64>) {
    match value {
        Some(value) => event.integer(name, value),
        None => event.raw(name, "null"),
    }
}
