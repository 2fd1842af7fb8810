//! Carries the core's commands out, feeds it what happens, and tells the application through an [`EventSink`].
//!
//! The engine waits for nothing, so that whoever drives it may: the Rust API in one task (`driver.rs`), the npm
//! package in the callbacks of its page.

mod machine;

pub use machine::Machine;

use crate::clock;
use crate::transport::{self, EventSender, Farewell, Socket, SocketEvent};
use readywire_protocol::client::{
    ClientEvent, ClientState, Command, OpeningResult, Position, SendOptions, Start, TokenResult,
};
use readywire_protocol::close::CloseFrame;
#[cfg(feature = "questions")]
use readywire_protocol::frame::AnswerError;
use readywire_protocol::frame::envelope_text;
use readywire_protocol::json::Payload;
use readywire_protocol::time::{Duration, Instant};

/// Whether payloads may be bytes.
const BINARY: bool = cfg!(feature = "binary");

/// What the application wants. `R` is what it wants of its sink alone.
#[derive(Clone, Debug)]
pub enum Input<R> {
    /// See `Client::send`.
    Send {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// What the message is.
        event: String,
        /// The message.
        payload: Payload,
        /// How to send it.
        options: SendOptions,
    },
    /// See `Existing::send`.
    Text {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The message.
        text: String,
        /// How to send it.
        options: SendOptions,
    },
    /// See `Client::write_part`.
    #[cfg(feature = "streams")]
    Part {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The send that opened the stream.
        stream: u64,
        /// The part.
        payload: Payload,
    },
    /// See `Client::end_stream`.
    #[cfg(feature = "streams")]
    EndStream {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The send that opened the stream.
        stream: u64,
    },
    /// See `Client::answer`.
    #[cfg(feature = "questions")]
    Answer {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The question.
        question: u64,
        /// A payload, or why there is none.
        answer: Result<Payload, AnswerError>,
    },
    /// See `Client::subscribe`.
    Subscribe {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The topic.
        topic: String,
        /// From where on.
        from: Start,
    },
    /// See `Client::history`.
    History {
        /// Chosen by the caller, never used twice.
        handle: u64,
        /// The topic.
        topic: String,
        /// How many publications at most.
        limit: u64,
        /// What the page ends below.
        before: Option<Position>,
    },
    /// See `Client::cancel`.
    Cancel {
        /// The send that asked, the subscription, or the page.
        handle: u64,
    },
    /// See `Client::abandon`.
    Abandon {
        /// The send.
        handle: u64,
    },
    /// See `Client::close`.
    Close {
        /// How long what is under way may take.
        deadline: Duration,
    },
    /// See `Client::wake`.
    Wake,
    /// For the sink.
    Sink(R),
}

/// What happened, and is to be fed to the engine.
#[derive(Debug)]
pub enum Happening<R> {
    /// To the socket with this number.
    Socket(u64, SocketEvent),
    /// The application wants something.
    Input(Input<R>),
    /// A question for a token has its answer.
    Token(Question, TokenResult),
    /// The attempt with this number has its opening messages.
    Opening(u64, OpeningResult),
    /// Time passed.
    Timer,
}

/// What a token is wanted for, each with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// An attempt to connect.
    Attempt(u64),
    /// The connection that lives.
    Refresh(u64),
}

/// Which way a frame went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the server.
    In,
    /// To the server.
    Out,
}

/// Where events go. Nothing of the core is borrowed while it is called.
pub trait EventSink {
    /// What the application wants of the sink.
    type Request;

    /// Does what the application wants.
    fn request(&mut self, request: Self::Request);

    /// Something happened. Gives back the handle of an answer or a subscription that nobody reads any more, or the question
    /// that nothing answers.
    fn event(&mut self, event: ClientEvent) -> Option<u64>;

    /// Whether this message of an existing server says that it is ready (clause `existing.gate`).
    fn says_ready(&mut self, _text: &str) -> bool {
        false
    }

    /// Whether this end of an existing server's connection is for good (clause `existing.close`).
    fn stops(&mut self, _frame: &CloseFrame) -> bool {
        false
    }

    /// A frame passed, for those who want to look at the wire; with so many bytes of payload beside it, if it came in a
    /// binary message.
    fn frame(&mut self, _direction: Direction, _text: &str, _beside: Option<usize>) {}
}

/// What is left to do until the next [`Happening`].
pub enum Next {
    /// Wait; if this is given, no longer than until then.
    Wait(Option<Instant>),
    /// Ask for a token, which may be wanted no longer when it comes; then call [`Engine::settle`] again.
    Ask(Question),
    /// It is over: let the last words go out, if there are any, then call [`Engine::tell`] once more.
    End(Option<Farewell>),
}

/// The core with a socket under it and a sink above it.
pub struct Engine<S> {
    core: Machine,
    url: String,
    sink: S,
    sender: EventSender,
    /// One, or more while a server goes away.
    sockets: Vec<(u64, Socket)>,
    asked: Vec<Question>,
    farewell: Option<Farewell>,
}

impl<S: EventSink> Engine<S> {
    /// Begins to connect. Sockets will put their events into `sender`.
    pub fn new(core: impl Into<Machine>, url: String, sink: S, sender: EventSender) -> Self {
        let mut core = core.into();
        core.connect(clock::now());
        Self { core, url, sink, sender, sockets: Vec::new(), asked: Vec::new(), farewell: None }
    }

    /// Carries out what the core wants and tells what happened.
    pub fn settle(&mut self) -> Next {
        loop {
            self.carry_out();
            if self.core.state() == ClientState::Closed {
                return Next::End(self.farewell.take());
            }
            if !self.tell() {
                break;
            }
        }
        match self.asked.pop() {
            Some(question) => Next::Ask(question),
            None => Next::Wait(self.core.poll_timeout()),
        }
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.core.poll_command() {
            match command {
                Command::AskToken { number } => self.asked.push(Question::Attempt(number)),
                Command::AskFreshToken { number } => self.asked.push(Question::Refresh(number)),
                Command::Dial { number, protocols, address } => {
                    let url = address.as_ref().unwrap_or(&self.url);
                    let socket = transport::open(url, &protocols, number, self.sender.clone());
                    self.sockets.push((number, socket));
                }
                Command::Transmit { number, text } => {
                    self.sink.frame(Direction::Out, &text, None);
                    if let Some((_, socket)) = self.sockets.iter().find(|(open, _)| *open == number) {
                        socket.send(text);
                    }
                }
                Command::TransmitBinary { number, message } if BINARY => {
                    let (text, payload) = envelope_text(&message);
                    self.sink.frame(Direction::Out, text, Some(payload));
                    if let Some((_, socket)) = self.sockets.iter().find(|(open, _)| *open == number) {
                        socket.send_binary(message);
                    }
                }
                // A build without bytes writes none.
                Command::TransmitBinary { .. } => {}
                Command::Close { number, code, reason } => {
                    if let Some(socket) = self.forget(number) {
                        self.farewell = Some(socket.close(code, reason));
                    }
                }
            }
        }
    }

    fn forget(&mut self, number: u64) -> Option<Socket> {
        let at = self.sockets.iter().position(|(open, _)| *open == number)?;
        Some(self.sockets.swap_remove(at).1)
    }

    /// Tells what happened; true if that led to new commands.
    pub fn tell(&mut self) -> bool {
        let mut cancelled = false;
        while let Some(event) = self.core.poll_event() {
            #[cfg(feature = "questions")]
            let asks = matches!(event, ClientEvent::Question { .. });
            if let Some(handle) = self.sink.event(event) {
                #[cfg(feature = "questions")]
                if asks {
                    self.core.unhandled(clock::now(), handle);
                    cancelled = true;
                    continue;
                }
                self.core.cancel(clock::now(), handle);
                cancelled = true;
            }
        }
        cancelled
    }

    /// Takes in what happened; [`Engine::settle`] is to follow.
    pub fn feed(&mut self, happening: Happening<S::Request>) {
        let now = clock::now();
        match happening {
            Happening::Socket(number, event) => match event {
                SocketEvent::Open(protocol) => self.core.handle_open(now, number, &protocol),
                SocketEvent::Text(text) => {
                    self.sink.frame(Direction::In, &text, None);
                    self.core.handle_message(now, number, &text, |text| self.sink.says_ready(text));
                }
                SocketEvent::Binary(message) => {
                    let (text, payload) = envelope_text(&message);
                    self.sink.frame(Direction::In, text, Some(payload));
                    self.core.handle_binary(now, number, message);
                }
                SocketEvent::Unreadable(misbehaved) => self.core.handle_violation(now, number, misbehaved),
                SocketEvent::Closed(frame) => {
                    self.forget(number);
                    self.core.handle_closed(now, number, frame, |frame| self.sink.stops(frame));
                }
            },
            Happening::Input(input) => match input {
                Input::Send { handle, event, payload, options } => {
                    self.core.send(now, handle, &event, payload, options);
                }
                Input::Text { handle, text, options } => self.core.send_text(now, handle, text, &options),
                #[cfg(feature = "streams")]
                Input::Part { handle, stream, payload } => self.core.write_part(now, handle, stream, payload),
                #[cfg(feature = "streams")]
                Input::EndStream { handle, stream } => self.core.end_stream(now, handle, stream),
                #[cfg(feature = "questions")]
                Input::Answer { handle, question, answer } => self.core.answer(now, handle, question, answer),
                Input::Subscribe { handle, topic, from } => self.core.subscribe(handle, &topic, from),
                Input::History { handle, topic, limit, before } => {
                    self.core.history(now, handle, &topic, limit, before)
                }
                Input::Cancel { handle } => self.core.cancel(now, handle),
                Input::Abandon { handle } => self.core.abandon(now, handle),
                Input::Close { deadline } => self.core.close(now, deadline),
                Input::Wake => self.core.wake(now),
                Input::Sink(request) => self.sink.request(request),
            },
            Happening::Token(Question::Attempt(number), token) => self.core.provide_token(now, number, token),
            Happening::Token(Question::Refresh(number), token) => self.core.provide_fresh_token(now, number, token),
            Happening::Opening(number, opening) => self.core.provide_opening(now, number, opening),
            Happening::Timer => self.core.handle_timeout(now),
        }
    }
}
