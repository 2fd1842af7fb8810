//! tokio-tungstenite: one task per socket.

use super::SocketEvent;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, StreamExt};
use readywire_protocol::clause::Clause;
use readywire_protocol::close::CloseFrame;
use readywire_protocol::error::PeerMisbehaved;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::{self, Message, WebSocketConfig};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

/// Events that may wait for the driver before the socket is read no further.
const WAITING_EVENTS: usize = 256;
/// Bytes read at once; the default is made for few connections with much to say.
const READ_BUFFER: usize = 4096;
/// The largest message that is read at all.
const LARGEST_MESSAGE: usize = 64 << 20;
/// How long the other end may take to answer a close frame.
const CLOSING: Duration = Duration::from_secs(1);

/// Where the events of sockets arrive.
pub type EventReceiver = mpsc::Receiver<(u64, SocketEvent)>;
/// Where sockets put their events.
pub type EventSender = mpsc::Sender<(u64, SocketEvent)>;
/// A future that a task may carry.
pub type TaskFuture<T> = BoxFuture<'static, T>;
/// Ends when the last words are out.
pub type Farewell = TaskFuture<()>;
/// A function that a task may carry, and whose futures it may carry.
pub type TaskFn<A, T> = Box<dyn FnMut(A) -> TaskFuture<T> + Send>;

/// What a task may carry.
pub trait Task: Send {}
impl<T: Send> Task for T {}

/// A channel for the events of sockets.
pub fn events() -> (EventSender, EventReceiver) {
    mpsc::channel(WAITING_EVENTS)
}

/// Whether there is somebody to carry tasks.
pub fn can_spawn() -> bool {
    tokio::runtime::Handle::try_current().is_ok()
}

/// Carries a task to its end.
pub fn spawn(task: impl Future<Output = ()> + Task + 'static) {
    tokio::spawn(task);
}

/// A WebSocket, from the first attempt to open it to its end. Dropping it breaks the connection off.
#[derive(Debug)]
pub struct Socket {
    orders: mpsc::UnboundedSender<Order>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Send(Message),
    Close(u16, String),
}

/// Begins to open a WebSocket.
pub fn open(url: &str, protocols: &[String], number: u64, events: EventSender) -> Socket {
    let (orders, inbox) = mpsc::unbounded();
    let task = tokio::spawn(carry(url.to_owned(), protocols.to_vec(), number, events, inbox));
    Socket { orders, task }
}

impl Socket {
    /// Writes a text message.
    pub fn send(&self, text: String) {
        // If the task is gone, its last event says so.
        let _ = self.orders.unbounded_send(Order::Send(Message::text(text)));
    }

    /// Writes a binary message.
    pub fn send_binary(&self, message: Vec<u8>) {
        let _ = self.orders.unbounded_send(Order::Send(Message::binary(message)));
    }

    /// Closes; nothing more is told. Ends when the close frame is out and answered, or after a second.
    pub fn close(self, code: u16, reason: String) -> Farewell {
        let _ = self.orders.unbounded_send(Order::Close(code, reason));
        Box::pin(self.task.map(|_| ()))
    }
}

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn carry(
    url: String,
    protocols: Vec<String>,
    number: u64,
    mut events: EventSender,
    mut orders: mpsc::UnboundedReceiver<Order>,
) {
    let opened = tokio::select! {
        opened = connect(&url, &protocols) => opened,
        // Nothing but a close can be ordered before the socket is open.
        _ = orders.next() => return,
    };
    let mut stream = match opened {
        Ok((stream, protocol)) => {
            let _ = events.send((number, SocketEvent::Open(protocol))).await;
            stream
        }
        Err(event) => {
            let _ = events.send((number, event)).await;
            return;
        }
    };
    loop {
        tokio::select! {
            biased;
            order = orders.next() => match write(&mut stream, order, &mut orders).await {
                Written::On => {}
                Written::Closed => return finish(&mut stream).await,
                Written::Failed => {
                    // What came before the break is still to be read, a close frame above all.
                    while let Some(Ok(message)) = stream.next().await {
                        if let Some(event) = read(message) {
                            let _ = events.send((number, event)).await;
                        }
                    }
                    let _ = events.send((number, SocketEvent::Closed(None))).await;
                    return;
                }
            },
            message = stream.next() => {
                let event = match message {
                    Some(Ok(message)) => read(message),
                    Some(Err(error)) => Some(broken(&error)),
                    None => Some(SocketEvent::Closed(None)),
                };
                let Some(event) = event else { continue };
                let last = matches!(event, SocketEvent::Closed(_));
                let unreadable = matches!(event, SocketEvent::Unreadable(_));
                if events.send((number, event)).await.is_err() || last {
                    return finish(&mut stream).await;
                }
                if unreadable {
                    return say_why(&mut stream, &mut orders).await;
                }
            }
        }
    }
}

async fn connect(url: &str, protocols: &[String]) -> Result<(Stream, String), SocketEvent> {
    let failed = |reason: String| SocketEvent::Closed(Some(CloseFrame::new(1006, &reason)));
    let uri: Uri = url.parse().map_err(|error| failed(format!("{url} is no address: {error}")))?;
    let request = protocols
        .iter()
        .fold(ClientRequestBuilder::new(uri), |request, protocol| request.with_sub_protocol(protocol.as_str()));
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(LARGEST_MESSAGE))
        .max_frame_size(Some(LARGEST_MESSAGE));
    match connect_async_with_config(request, Some(config), true).await {
        Ok((stream, response)) => {
            let selected = response.headers().get("sec-websocket-protocol");
            let selected = selected.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
            Ok((stream, selected))
        }
        // No subprotocol selected: the core decides what that means.
        Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
            SubProtocolError::NoSubProtocol | SubProtocolError::InvalidSubProtocol,
        ))) => Err(SocketEvent::Open(String::new())),
        Err(Error::Http(response)) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default();
            Err(failed(format!("the server answers {} {body}", response.status())))
        }
        Err(error) => Err(failed(error.to_string())),
    }
}

enum Written {
    On,
    Closed,
    Failed,
}

/// Writes everything that is ordered by now, and flushes once.
async fn write(stream: &mut Stream, first: Option<Order>, orders: &mut mpsc::UnboundedReceiver<Order>) -> Written {
    let mut next = first;
    loop {
        match next {
            Some(Order::Send(message)) => {
                if stream.feed(message).await.is_err() {
                    return Written::Failed;
                }
            }
            Some(Order::Close(code, reason)) => {
                let frame = protocol::CloseFrame { code: code.into(), reason: reason.into() };
                let _ = stream.feed(Message::Close(Some(frame))).await;
                return Written::Closed;
            }
            None => return Written::Closed,
        }
        match orders.try_recv() {
            Ok(order) => next = Some(order),
            Err(mpsc::TryRecvError::Empty) => break,
            Err(mpsc::TryRecvError::Closed) => next = None,
        }
    }
    if stream.flush().await.is_ok() { Written::On } else { Written::Failed }
}

/// Flushes the close frame and waits for the other end's, so that it is not lost to a reset.
async fn finish(stream: &mut Stream) {
    let both = async {
        if stream.flush().await.is_ok() {
            while let Some(Ok(_)) = stream.next().await {}
        }
    };
    let _ = tokio::time::timeout(CLOSING, both).await;
}

/// After what cannot be read: writes what is still ordered, up to the close frame, and throws away what comes, so that
/// none of it is lost to a reset.
async fn say_why(stream: &mut Stream, orders: &mut mpsc::UnboundedReceiver<Order>) {
    loop {
        match write(stream, orders.next().await, orders).await {
            Written::On => {}
            Written::Closed => break,
            Written::Failed => return,
        }
    }
    let both = async {
        let mut bytes = [0; READ_BUFFER];
        let mut open = stream.flush().await.is_ok();
        while open {
            let mut read = ReadBuf::new(&mut bytes);
            let result = poll_fn(|context| Pin::new(stream.get_mut()).poll_read(context, &mut read)).await;
            open = result.is_ok() && !read.filled().is_empty();
        }
    };
    let _ = tokio::time::timeout(CLOSING, both).await;
}

fn read(message: Message) -> Option<SocketEvent> {
    match message {
        Message::Text(text) => Some(SocketEvent::Text(text.to_string())),
        Message::Binary(bytes) => Some(SocketEvent::Binary(bytes.into())),
        Message::Close(frame) => {
            let frame = frame.map_or_else(
                || CloseFrame::new(1005, ""),
                |frame| CloseFrame { code: frame.code.into(), reason: frame.reason.to_string() },
            );
            Some(SocketEvent::Closed(Some(frame)))
        }
        _ => None,
    }
}

fn broken(error: &Error) -> SocketEvent {
    let unreadable = |clause, found: &str| SocketEvent::Unreadable(PeerMisbehaved::new(clause, found));
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => SocketEvent::Closed(None),
        Error::Utf8(_) => unreadable(Clause::FrameMalformed, "a message that is not UTF-8"),
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            unreadable(Clause::FrameSize, "a message larger than 64 MiB")
        }
        error => SocketEvent::Closed(Some(CloseFrame::new(1006, &error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn dialled_sockets_have_nagles_algorithm_off() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let accepting = async { tokio_tungstenite::accept_async(listener.accept().await.unwrap().0).await };
        let (dialled, accepted) = tokio::join!(connect(&url, &[]), accepting);
        let _accepted = accepted.unwrap();
        let (stream, _) = dialled.unwrap();
        let MaybeTlsStream::Plain(socket) = stream.get_ref() else { panic!("no TLS was asked for") };
        assert!(socket.nodelay().unwrap());
    }
}
