//! Either of the protocol's two clients, under one engine: what only one of them knows, the other ignores.

#[cfg(feature = "existing")]
use readywire_protocol::client::Existing;
use readywire_protocol::client::{
    Client, ClientEvent, ClientState, Command, OpeningResult, Position, SendOptions, Start, TokenResult,
};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::error::PeerMisbehaved;
#[cfg(feature = "questions")]
use readywire_protocol::frame::AnswerError;
use readywire_protocol::json::Payload;
use readywire_protocol::time::{Duration, Instant};

/// What the engine drives.
#[derive(Debug)]
pub enum Machine {
    /// A client of this protocol.
    Client(Box<Client>),
    /// A client at a server that does not speak it.
    #[cfg(feature = "existing")]
    Existing(Box<Existing>),
}

impl From<Client> for Machine {
    fn from(client: Client) -> Self {
        Self::Client(Box::new(client))
    }
}

#[cfg(feature = "existing")]
impl From<Existing> for Machine {
    fn from(existing: Existing) -> Self {
        Self::Existing(Box::new(existing))
    }
}

/// Goes on with whichever it is.
macro_rules! with {
    ($machine:expr, $client:pat => $one:expr, $existing:pat => $other:expr) => {
        match $machine {
            Machine::Client($client) => $one,
            #[cfg(feature = "existing")]
            Machine::Existing($existing) => $other,
        }
    };
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($($name:ident(&mut self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*) => {$(
        pub(super) fn $name(&mut self $(, $argument: $type)*) $(-> $result)? {
            with!(self, client => client.$name($($argument),*), existing => existing.$name($($argument),*))
        }
    )*};
}

#[cfg_attr(not(feature = "existing"), allow(unused))]
impl Machine {
    either! {
        connect(&mut self, now: Instant);
        abandon(&mut self, now: Instant, handle: u64);
        close(&mut self, now: Instant, deadline: Duration);
        wake(&mut self, now: Instant);
        handle_open(&mut self, now: Instant, number: u64, protocol: &str);
        handle_violation(&mut self, now: Instant, number: u64, misbehaved: PeerMisbehaved);
        handle_timeout(&mut self, now: Instant);
        poll_command(&mut self) -> Option<Command>;
        poll_event(&mut self) -> Option<ClientEvent>;
        poll_timeout(&mut self) -> Option<Instant>;
        state(&mut self) -> ClientState;
    }

    pub(super) fn handle_message(
        &mut self,
        now: Instant,
        number: u64,
        text: &str,
        mut says_ready: impl FnMut(&str) -> bool,
    ) {
        with!(self, client => client.handle_message(now, number, text), existing => {
            let ready = existing.awaits_rule(number) && says_ready(text);
            existing.handle_message(now, number, text, ready);
        });
    }

    pub(super) fn handle_closed(
        &mut self,
        now: Instant,
        number: u64,
        frame: Option<CloseFrame>,
        mut stops: impl FnMut(&CloseFrame) -> bool,
    ) {
        with!(self, client => client.handle_closed(now, number, frame), existing => {
            let stop = frame.as_ref().is_some_and(&mut stops);
            existing.handle_closed(now, number, frame, stop);
        });
    }

    pub(super) fn send(&mut self, now: Instant, handle: u64, event: &str, payload: Payload, options: SendOptions) {
        with!(self, client => client.send(now, handle, event, payload, options), _ => {});
    }

    pub(super) fn send_text(&mut self, now: Instant, handle: u64, text: String, options: &SendOptions) {
        with!(self, _ => {}, existing => {
            existing.send(now, handle, text, options.fail_fast, options.expire_after);
        });
    }

    pub(super) fn handle_binary(&mut self, now: Instant, number: u64, message: Vec<u8>) {
        with!(self, client => client.handle_binary(now, number, message), existing => existing.handle_binary(now, number));
    }

    #[cfg(feature = "streams")]
    pub(super) fn write_part(&mut self, now: Instant, handle: u64, stream: u64, payload: Payload) {
        with!(self, client => client.write_part(now, handle, stream, payload), _ => {});
    }

    #[cfg(feature = "streams")]
    pub(super) fn end_stream(&mut self, now: Instant, handle: u64, stream: u64) {
        with!(self, client => client.end_stream(now, handle, stream), _ => {});
    }

    #[cfg(feature = "questions")]
    pub(super) fn answer(&mut self, now: Instant, handle: u64, question: u64, answer: Result<Payload, AnswerError>) {
        with!(self, client => client.answer(now, handle, question, answer), _ => {});
    }

    #[cfg(feature = "questions")]
    pub(super) fn unhandled(&mut self, now: Instant, question: u64) {
        with!(self, client => client.unhandled(now, question), _ => {});
    }

    pub(super) fn subscribe(&mut self, handle: u64, topic: &str, from: Start) {
        with!(self, client => client.subscribe(handle, topic, from), _ => {});
    }

    pub(super) fn history(&mut self, now: Instant, handle: u64, topic: &str, limit: u64, before: Option<Position>) {
        with!(self, client => client.history(now, handle, topic, limit, before), _ => {});
    }

    pub(super) fn cancel(&mut self, now: Instant, handle: u64) {
        with!(self, client => client.cancel(now, handle), _ => {});
    }

    pub(super) fn provide_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        with!(self, client => client.provide_token(now, number, token), existing => {
            // It wants opening messages: of a token it can only be told that there is none.
            if let Err(failure) = token {
                existing.provide_opening(now, number, Err(failure));
            }
        });
    }

    pub(super) fn provide_fresh_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        with!(self, client => client.provide_fresh_token(now, number, token), _ => {});
    }

    pub(super) fn provide_opening(&mut self, now: Instant, number: u64, opening: OpeningResult) {
        with!(self, _ => {}, existing => existing.provide_opening(now, number, opening));
    }
}
