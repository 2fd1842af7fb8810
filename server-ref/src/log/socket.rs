//! A log over a socket: [`serve`] lends the logs of one process to others on the same machine, [`SocketLog`] is how they
//! use them.
//!
//! This is for tests and for restarting server processes one after the other while the one with the logs stays. It has
//! no authentication and no encryption, so it keeps to loopback addresses; what it holds ends with the process that
//! serves it. A service that replicates and stores belongs behind the same trait.

mod wire;

use super::{Append, Appended, Batch, Durability, Entry, Head, Log, LogError, Name};
use bytes::{Buf, BytesMut};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use wire::{Reply, Request, Told, read_frame, write_frame};

/// How long a connection may take to come about, and an answer to come.
const PATIENCE: Duration = Duration::from_secs(5);

/// Listens for other processes of this machine.
///
/// # Errors
/// The address is not a loopback address, or the operating system says no.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    only_loopback(address)?;
    TcpListener::bind(address).await
}

/// Lends a log to whoever connects, for ever.
pub async fn serve(listener: TcpListener, log: Arc<dyn Log>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(lend(stream, log.clone()));
                }
                // Too many files, say: others may be closed soon.
                Err(error) => {
                    tracing::warn!(%error, "a connection to the log was not accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn lend(stream: TcpStream, log: Arc<dyn Log>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (reading, writing) = stream.into_split();
    let (tell, told) = mpsc::unbounded_channel();
    let mut watching = JoinSet::new();
    let mut reading = Frames::new(reading);
    let answering = async {
        while let Some((id, request)) = reading.next::<(u64, Request)>().await {
            let reply = match request {
                Request::Subscribe { log: name } => match log.subscribe(&name).await {
                    Ok(heads) => {
                        let head = *heads.borrow();
                        watching.spawn(pass_on(id, heads, tell.clone()));
                        Reply::Head(head)
                    }
                    Err(error) => Reply::Failed(error),
                },
                request => answer(&*log, request).await,
            };
            if tell.send(Told::Reply { id, reply }).is_err() {
                return;
            }
            while watching.try_join_next().is_some() {}
        }
    };
    tokio::select! {
        () = answering => {}
        _ = write_all(writing, told) => {}
    }
}

async fn answer(log: &dyn Log, request: Request) -> Reply {
    let done = |done: Result<(), LogError>| done.map(|()| Reply::Done);
    let reply = match request {
        Request::Append { appends } => log.append(appends).await.map(Reply::Appended),
        Request::Read { log: name, after, room } => log.read(&name, after, room).await.map(Reply::Batch),
        Request::Find { log: name, key } => log.find(&name, &key).await.map(Reply::Found),
        Request::Trim { log: name, through } => done(log.trim(&name, through).await),
        Request::Keep { logs, milliseconds } => done(log.keep(logs, Duration::from_millis(milliseconds)).await),
        Request::List { prefix } => log.list(&prefix).await.map(Reply::Names),
        Request::Remove { logs } => done(log.remove(logs).await),
        // By who asks for it.
        Request::Subscribe { log: name } => log.subscribe(&name).await.map(|heads| Reply::Head(*heads.borrow())),
    };
    reply.unwrap_or_else(Reply::Failed)
}

/// Tells a watcher at the other end every head, and the end of the log.
async fn pass_on(id: u64, mut heads: watch::Receiver<Head>, tell: mpsc::UnboundedSender<Told>) {
    while heads.changed().await.is_ok() {
        let head = *heads.borrow_and_update();
        if tell.send(Told::Head { id, head: Some(head) }).is_err() {
            return;
        }
    }
    let _ = tell.send(Told::Head { id, head: None });
}

/// A log that another process of this machine serves.
#[derive(Debug)]
pub struct SocketLog {
    asks: mpsc::UnboundedSender<Ask>,
}

#[derive(Debug)]
struct Ask {
    request: Request,
    reply: oneshot::Sender<Answer>,
}

#[derive(Debug)]
enum Answer {
    Reply(Reply),
    Watching(watch::Receiver<Head>),
}

impl SocketLog {
    /// Connects, now and whenever the connection was lost. Needs a tokio runtime.
    ///
    /// # Errors
    /// The address is not a loopback address, or nothing answers there.
    pub async fn connect(address: SocketAddr) -> io::Result<Arc<Self>> {
        only_loopback(address)?;
        let stream = TcpStream::connect(address).await?;
        let (asks, asked) = mpsc::unbounded_channel();
        tokio::spawn(carry(address, stream, asked));
        Ok(Arc::new(Self { asks }))
    }

    /// Asks now, in the order of the calls, not only once the future is polled.
    fn ask(&self, request: Request) -> impl Future<Output = Result<Answer, LogError>> + Send + use<> {
        let (reply, replied) = oneshot::channel();
        let asked = self.asks.send(Ask { request, reply }).is_ok();
        async move {
            match tokio::time::timeout(PATIENCE, replied).await {
                Ok(Ok(Answer::Reply(Reply::Failed(error)))) => Err(error),
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(_)) if asked => Err(unavailable("the connection to it was lost")),
                Ok(Err(_)) => Err(unavailable("nothing is connected to it any more")),
                Err(_) => Err(unavailable("it did not answer in time")),
            }
        }
    }

    fn expect<T: Send + 'static>(
        &self,
        request: Request,
        read: fn(Reply) -> Option<T>,
    ) -> BoxFuture<'static, Result<T, LogError>> {
        let asked = self.ask(request);
        async move {
            match asked.await? {
                Answer::Reply(reply) => read(reply).ok_or_else(|| unavailable("it answered something else")),
                Answer::Watching(_) => Err(unavailable("it answered something else")),
            }
        }
        .boxed()
    }

    fn done(&self, request: Request) -> BoxFuture<'static, Result<(), LogError>> {
        self.expect(request, |reply| matches!(reply, Reply::Done).then_some(()))
    }
}

impl Log for SocketLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Appended>, LogError>> {
        self.expect(Request::Append { appends }, |reply| match reply {
            Reply::Appended(appended) => Some(appended),
            _ => None,
        })
    }

    fn read<'a>(&'a self, log: &'a str, after: u64, room: Window) -> BoxFuture<'a, Result<Batch, LogError>> {
        self.expect(Request::Read { log: log.into(), after, room }, |reply| match reply {
            Reply::Batch(batch) => Some(batch),
            _ => None,
        })
    }

    fn find<'a>(&'a self, log: &'a str, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, LogError>> {
        self.expect(Request::Find { log: log.into(), key: key.into() }, |reply| match reply {
            Reply::Found(found) => Some(found),
            _ => None,
        })
    }

    fn trim<'a>(&'a self, log: &'a str, through: u64) -> BoxFuture<'a, Result<(), LogError>> {
        self.done(Request::Trim { log: log.into(), through })
    }

    fn subscribe<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<watch::Receiver<Head>, LogError>> {
        let asked = self.ask(Request::Subscribe { log: log.into() });
        async move {
            match asked.await? {
                Answer::Watching(heads) => Ok(heads),
                Answer::Reply(_) => Err(unavailable("it answered something else")),
            }
        }
        .boxed()
    }

    fn keep(&self, logs: Vec<Name>, time: Duration) -> BoxFuture<'_, Result<(), LogError>> {
        let milliseconds = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.done(Request::Keep { logs, milliseconds })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Name>, LogError>> {
        self.expect(Request::List { prefix: prefix.into() }, |reply| match reply {
            Reply::Names(names) => Some(names),
            _ => None,
        })
    }

    fn remove(&self, logs: Vec<Name>) -> BoxFuture<'_, Result<(), LogError>> {
        self.done(Request::Remove { logs })
    }

    fn durability(&self) -> Durability {
        Durability::Durable
    }
}

/// Carries what is asked over one connection after the other, until nobody asks any more.
async fn carry(address: SocketAddr, stream: TcpStream, mut asked: mpsc::UnboundedReceiver<Ask>) {
    let mut next = Some(stream);
    let mut first = None;
    loop {
        if let Some(stream) = next.take() {
            if !converse(stream, first.take(), &mut asked).await {
                return;
            }
            tracing::warn!(%address, "the connection to the log was lost");
        }
        let Some(ask) = asked.recv().await else { return };
        match tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                next = Some(stream);
                first = Some(ask);
            }
            // Whoever asks is told by the channel.
            Ok(Err(_)) | Err(_) => drop(ask),
        }
    }
}

/// `false` when nobody asks any more. With the connection, every question that is open and every watch ends.
async fn converse(stream: TcpStream, first: Option<Ask>, asked: &mut mpsc::UnboundedReceiver<Ask>) -> bool {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let (reading, writing) = stream.into_split();
    let (write, written) = mpsc::unbounded_channel();
    let mut writing = tokio::spawn(write_all(writing, written));
    let mut reading = Frames::new(reading);
    let mut open: HashMap<u64, (bool, oneshot::Sender<Answer>)> = HashMap::new();
    let mut watched: HashMap<u64, watch::Sender<Head>> = HashMap::new();
    let mut last = 0;
    let mut ask = first;
    let goes_on = loop {
        if let Some(Ask { request, reply }) = ask.take() {
            last += 1;
            open.insert(last, (matches!(request, Request::Subscribe { .. }), reply));
            if write.send((last, request)).is_err() {
                break true;
            }
        }
        tokio::select! {
            next = asked.recv() => match next {
                Some(next) => ask = Some(next),
                None => break false,
            },
            told = reading.next::<Told>() => match told {
                Some(Told::Reply { id, reply }) => match (open.remove(&id), reply) {
                    (Some((true, waits)), Reply::Head(head)) => {
                        let sender = watch::Sender::new(head);
                        let _ = waits.send(Answer::Watching(sender.subscribe()));
                        watched.insert(id, sender);
                    }
                    (Some((_, waits)), reply) => drop(waits.send(Answer::Reply(reply))),
                    (None, _) => {}
                },
                Some(Told::Head { id, head: Some(head) }) => {
                    let unwatched = watched.get(&id).is_some_and(|sender| sender.send(head).is_err());
                    if unwatched {
                        watched.remove(&id);
                    }
                }
                Some(Told::Head { id, head: None }) => drop(watched.remove(&id)),
                None => break true,
            },
            _ = &mut writing => break true,
        }
    };
    writing.abort();
    goes_on
}

/// Writes what comes, as much at once as there is.
async fn write_all<T: wire::Wire>(
    mut stream: OwnedWriteHalf,
    mut frames: mpsc::UnboundedReceiver<T>,
) -> io::Result<()> {
    const MANY: usize = 64;
    let (mut batch, mut bytes) = (Vec::with_capacity(MANY), BytesMut::new());
    while frames.recv_many(&mut batch, MANY).await > 0 {
        batch.drain(..).for_each(|frame| write_frame(&frame, &mut bytes));
        stream.write_all_buf(&mut bytes).await?;
    }
    stream.shutdown().await
}

/// Reads one frame after the other; loses nothing when it is not awaited to the end.
struct Frames {
    stream: OwnedReadHalf,
    bytes: BytesMut,
}

impl Frames {
    fn new(stream: OwnedReadHalf) -> Self {
        Self { stream, bytes: BytesMut::with_capacity(16 << 10) }
    }

    /// `None` at the end, and for what nobody who speaks this writes.
    async fn next<T: wire::Wire>(&mut self) -> Option<T> {
        loop {
            match read_frame(&mut self.bytes) {
                Ok(Some(frame)) => return Some(frame),
                Ok(None) => {}
                Err(wire::Garbled) => {
                    tracing::error!("what came from the other end of a log is garbled");
                    return None;
                }
            }
            if self.stream.read_buf(&mut self.bytes).await.unwrap_or_default() == 0 {
                if self.bytes.has_remaining() {
                    tracing::debug!("a connection to a log ended in the middle of a frame");
                }
                return None;
            }
        }
    }
}

fn only_loopback(address: SocketAddr) -> io::Result<()> {
    match address.ip().is_loopback() {
        true => Ok(()),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "a log is shared on a loopback address only, since anybody who reaches it may read and write it",
        )),
    }
}

fn unavailable(why: &str) -> LogError {
    LogError::Unavailable(why.to_owned())
}
