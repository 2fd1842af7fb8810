//! Either of the protocol's two clients, under one engine: what only one of them knows, the other ignores.

use readywire_protocol::client::{
    Client, ClientEvent, ClientState, Command, Existing, OpeningResult, Position, SendOptions, TokenResult,
};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::json::Payload;
use readywire_protocol::time::{Duration, Instant};

/// What the engine drives.
#[derive(Debug)]
pub enum Machine {
    /// A client of this protocol.
    Client(Box<Client>),
    /// A client at a server that does not speak it.
    Existing(Box<Existing>),
}

impl From<Client> for Machine {
    fn from(client: Client) -> Self {
        Self::Client(Box::new(client))
    }
}

impl From<Existing> for Machine {
    fn from(existing: Existing) -> Self {
        Self::Existing(Box::new(existing))
    }
}

/// Calls the same method of whichever it is.
macro_rules! either {
    ($($name:ident(&mut self $(, $argument:ident: $type:ty)*) $(-> $result:ty)?;)*) => {$(
        pub(super) fn $name(&mut self $(, $argument: $type)*) $(-> $result)? {
            match self {
                Self::Client(client) => client.$name($($argument),*),
                Self::Existing(existing) => existing.$name($($argument),*),
            }
        }
    )*};
}

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
        match self {
            Self::Client(client) => client.handle_message(now, number, text),
            Self::Existing(existing) => {
                let ready = existing.awaits_rule(number) && says_ready(text);
                existing.handle_message(now, number, text, ready);
            }
        }
    }

    pub(super) fn handle_closed(
        &mut self,
        now: Instant,
        number: u64,
        frame: Option<CloseFrame>,
        mut stops: impl FnMut(&CloseFrame) -> bool,
    ) {
        match self {
            Self::Client(client) => client.handle_closed(now, number, frame),
            Self::Existing(existing) => {
                let stop = frame.as_ref().is_some_and(&mut stops);
                existing.handle_closed(now, number, frame, stop);
            }
        }
    }

    pub(super) fn send(&mut self, now: Instant, handle: u64, event: &str, payload: Payload, options: SendOptions) {
        if let Self::Client(client) = self {
            client.send(now, handle, event, payload, options);
        }
    }

    pub(super) fn send_text(&mut self, now: Instant, handle: u64, text: String, options: &SendOptions) {
        if let Self::Existing(existing) = self {
            existing.send(now, handle, text, options.fail_fast, options.expire_after);
        }
    }

    pub(super) fn handle_binary(&mut self, now: Instant, number: u64, message: Vec<u8>) {
        match self {
            Self::Client(client) => client.handle_binary(now, number, message),
            Self::Existing(existing) => existing.handle_binary(now, number),
        }
    }

    pub(super) fn subscribe(&mut self, handle: u64, topic: &str, from: Option<Position>) {
        if let Self::Client(client) = self {
            client.subscribe(handle, topic, from);
        }
    }

    pub(super) fn cancel(&mut self, now: Instant, handle: u64) {
        if let Self::Client(client) = self {
            client.cancel(now, handle);
        }
    }

    pub(super) fn provide_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        match self {
            Self::Client(client) => client.provide_token(now, number, token),
            // It wants opening messages: of a token it can only be told that there is none.
            Self::Existing(existing) => {
                if let Err(failure) = token {
                    existing.provide_opening(now, number, Err(failure));
                }
            }
        }
    }

    pub(super) fn provide_fresh_token(&mut self, now: Instant, number: u64, token: TokenResult) {
        if let Self::Client(client) = self {
            client.provide_fresh_token(now, number, token);
        }
    }

    pub(super) fn provide_opening(&mut self, now: Instant, number: u64, opening: OpeningResult) {
        if let Self::Existing(existing) = self {
            existing.provide_opening(now, number, opening);
        }
    }
}
