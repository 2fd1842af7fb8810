//! The one run loop, native and in the browser: carries the core's commands out, feeds it what happens, and tells the
//! application through an [`EventSink`].

use crate::clock;
use crate::transport::{self, EventReceiver, EventSender, Socket, SocketEvent, Task, TaskFuture};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt, StreamExt};
use readywire_protocol::client::{Client, ClientEvent, ClientState, Command, SendOptions, TokenResult};
use readywire_protocol::json::Payload;
use readywire_protocol::time::{Duration, Instant};
use std::future::poll_fn;
use std::task::Poll;

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
    /// See `Client::cancel`.
    Cancel {
        /// The send that asked.
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

    /// Something happened. Gives back the handle of an answer that nobody reads any more.
    fn event(&mut self, event: ClientEvent) -> Option<u64>;

    /// A frame passed, for those who want to look at the wire.
    fn frame(&mut self, _direction: Direction, _text: &str) {}
}

/// Asked for a token before each attempt (clause `token.each_attempt`).
pub trait TokenSource {
    /// The credential for the next attempt; `None` to go without.
    fn token(&mut self) -> TaskFuture<TokenResult>;
}

/// Drives a client to its end. Once `inputs` is closed, it says `bye` and ends as well.
pub async fn run<S, T>(mut core: Client, url: String, inputs: UnboundedReceiver<Input<S::Request>>, sink: S, tokens: T)
where
    S: EventSink + Task,
    T: TokenSource + Task,
{
    let (sender, events) = transport::events();
    core.connect(clock::now());
    let mut driver = Driver {
        core,
        url,
        inputs: Some(inputs),
        sink,
        tokens,
        sender,
        events,
        socket: None,
        asking: None,
        farewell: None,
        alarm: None,
    };
    while driver.settle() {
        let wake = driver.wait().await;
        driver.feed(wake);
    }
    if let Some(farewell) = driver.farewell.take() {
        // The application hears of the end when the last words are out.
        farewell.await;
    }
    driver.tell();
}

struct Driver<S: EventSink, T> {
    core: Client,
    url: String,
    inputs: Option<UnboundedReceiver<Input<S::Request>>>,
    sink: S,
    tokens: T,
    sender: EventSender,
    events: EventReceiver,
    socket: Option<(u64, Socket)>,
    asking: Option<(u64, TaskFuture<TokenResult>)>,
    farewell: Option<TaskFuture<()>>,
    /// The timer that runs, and when it wakes. One that wakes too early is kept: to look in vain costs less than to
    /// arm anew at each message.
    alarm: Option<(Instant, TaskFuture<()>)>,
}

enum Wake<R> {
    Socket(u64, SocketEvent),
    Input(Input<R>),
    Token(u64, TokenResult),
    Timer,
}

impl<S: EventSink, T: TokenSource> Driver<S, T> {
    /// Carries out what the core wants and tells what happened; false once it is over.
    fn settle(&mut self) -> bool {
        loop {
            self.carry_out();
            if self.core.state() == ClientState::Closed {
                return false;
            }
            if !self.tell() {
                return true;
            }
        }
    }

    fn carry_out(&mut self) {
        while let Some(command) = self.core.poll_command() {
            match command {
                Command::AskToken { number } => self.asking = Some((number, self.tokens.token())),
                Command::Dial { number, protocols } => {
                    let socket = transport::open(&self.url, &protocols, number, self.sender.clone());
                    self.socket = Some((number, socket));
                }
                Command::Transmit { number, text } => {
                    self.sink.frame(Direction::Out, &text);
                    if let Some((_, socket)) = self.socket.as_ref().filter(|(current, _)| *current == number) {
                        socket.send(text);
                    }
                }
                Command::Close { number, code, reason } => {
                    if let Some((_, socket)) = self.socket.take_if(|(current, _)| *current == number) {
                        self.farewell = Some(Box::pin(socket.close(code, reason)));
                    }
                }
            }
        }
    }

    /// Tells what happened; true if that led to new commands.
    fn tell(&mut self) -> bool {
        let mut cancelled = false;
        while let Some(event) = self.core.poll_event() {
            if let Some(handle) = self.sink.event(event) {
                self.core.cancel(clock::now(), handle);
                cancelled = true;
            }
        }
        cancelled
    }

    async fn wait(&mut self) -> Wake<S::Request> {
        match (self.core.poll_timeout(), &self.alarm) {
            (Some(next), Some((armed, _))) if *armed <= next => {}
            (Some(next), _) => {
                self.alarm = Some((next, Box::pin(clock::sleep(next.saturating_since(clock::now())))));
            }
            (None, _) => self.alarm = None,
        }
        poll_fn(|context| {
            if let Poll::Ready(Some((number, event))) = self.events.poll_next_unpin(context) {
                return Poll::Ready(Wake::Socket(number, event));
            }
            if let Some(inputs) = &mut self.inputs {
                match inputs.poll_next_unpin(context) {
                    Poll::Ready(Some(input)) => return Poll::Ready(Wake::Input(input)),
                    Poll::Ready(None) => {
                        self.inputs = None;
                        return Poll::Ready(Wake::Input(Input::Close { deadline: Duration::ZERO }));
                    }
                    Poll::Pending => {}
                }
            }
            if let Some((number, asking)) = &mut self.asking
                && let Poll::Ready(token) = asking.poll_unpin(context)
            {
                let number = *number;
                self.asking = None;
                return Poll::Ready(Wake::Token(number, token));
            }
            if let Some((_, alarm)) = &mut self.alarm
                && alarm.poll_unpin(context).is_ready()
            {
                self.alarm = None;
                return Poll::Ready(Wake::Timer);
            }
            Poll::Pending
        })
        .await
    }

    fn feed(&mut self, wake: Wake<S::Request>) {
        let now = clock::now();
        match wake {
            Wake::Socket(number, event) => match event {
                SocketEvent::Open(protocol) => self.core.handle_open(now, number, &protocol),
                SocketEvent::Text(text) => {
                    self.sink.frame(Direction::In, &text);
                    self.core.handle_message(now, number, &text);
                }
                SocketEvent::Binary => self.core.handle_binary(now, number),
                SocketEvent::Closed(frame) => {
                    self.socket.take_if(|(current, _)| *current == number);
                    self.core.handle_closed(now, number, frame);
                }
            },
            Wake::Input(input) => match input {
                Input::Send { handle, event, payload, options } => {
                    self.core.send(now, handle, &event, payload, options);
                }
                Input::Cancel { handle } => self.core.cancel(now, handle),
                Input::Abandon { handle } => self.core.abandon(now, handle),
                Input::Close { deadline } => self.core.close(now, deadline),
                Input::Wake => self.core.wake(now),
                Input::Sink(request) => self.sink.request(request),
            },
            Wake::Token(number, token) => self.core.provide_token(now, number, token),
            Wake::Timer => self.core.handle_timeout(now),
        }
    }
}
