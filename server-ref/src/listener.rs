//! Accepts connections the way this server wants them, and keeps an eye on the bytes below the WebSocket.
//!
//! Serve a router from it with [`Peer`] as connect info. With any other listener everything still works, but Nagle's
//! algorithm stays on, a stranger's bytes are counted only once they are a message, and the last words to a client
//! that was cut short in the middle of a large message may get lost.

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener as Accepts};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// How long a client may go on writing what nobody reads, so that it gets to reading why.
const LINGER: Duration = Duration::from_secs(1);

/// A TCP listener whose sockets have Nagle's algorithm off (clause `upgrade.nodelay`): it would hold back the stages
/// behind the first until the client's delayed ACK.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self)
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Accepts for Listener {
    type Io = Socket;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Socket, SocketAddr) {
        // The trait's own method waits out errors of the operating system.
        let (stream, address) = Accepts::accept(&mut self.0).await;
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "no TCP_NODELAY");
        }
        (Socket { stream: Some(stream), tap: Arc::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The other end of a connection.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The bytes between here and there.
    pub tap: Arc<Tap>,
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        Self { address: *stream.remote_addr(), tap: stream.io().tap.clone() }
    }
}

/// Counts and bounds the bytes of one socket.
#[derive(Debug)]
pub struct Tap {
    /// How many bytes may still be read; `u64::MAX` for any number.
    allowance: AtomicU64,
    written: AtomicU64,
    lingers: AtomicBool,
}

impl Default for Tap {
    fn default() -> Self {
        Self { allowance: AtomicU64::new(u64::MAX), written: AtomicU64::new(0), lingers: AtomicBool::new(false) }
    }
}

impl Tap {
    /// Lets so many more bytes in, give or take one read; then reading is an error.
    pub fn allow(&self, bytes: u64) {
        self.allowance.store(bytes, Ordering::Relaxed);
    }

    /// Lets any number of bytes in.
    pub fn allow_all(&self) {
        self.allow(u64::MAX);
    }

    /// Whether the allowance is used up.
    pub fn is_exhausted(&self) -> bool {
        self.allowance.load(Ordering::Relaxed) == 0
    }

    /// How many bytes the operating system has taken to send.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Has what the client still writes read and dropped for a moment after the end. A socket that is closed with
    /// bytes unread is reset, and a reset can overtake the last words.
    pub fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    fn has_read(&self, bytes: usize) {
        let left = self.allowance.load(Ordering::Relaxed);
        if left != u64::MAX {
            self.allow(left.saturating_sub(bytes as u64));
        }
    }
}

/// An accepted socket.
#[derive(Debug)]
pub struct Socket {
    /// `None` only while it is dropped.
    stream: Option<TcpStream>,
    tap: Arc<Tap>,
}

impl Socket {
    fn stream(&mut self) -> io::Result<Pin<&mut TcpStream>> {
        self.stream.as_mut().map(Pin::new).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.tap.is_exhausted() {
            // Not the end of the stream: what is written still has to arrive.
            return Poll::Ready(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let before = buffer.filled().len();
        let read = self.stream()?.poll_read(context, buffer);
        self.tap.has_read(buffer.filled().len() - before);
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = self.stream()?.poll_write(context, bytes);
        if let Poll::Ready(Ok(count)) = &written {
            self.tap.written.fetch_add(*count as u64, Ordering::Relaxed);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else { return };
        if self.tap.lingers.load(Ordering::Relaxed)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(LINGER, read_out(stream)));
        }
    }
}

async fn read_out(mut stream: TcpStream) {
    let mut dropped = [0; 4096];
    let _ = stream.shutdown().await;
    while let Ok(1..) = stream.read(&mut dropped).await {}
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn pair() -> (Socket, TcpStream) {
        let mut listener = Listener::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let dialling = TcpStream::connect(listener.address().unwrap());
        let (accepted, dialled) = tokio::join!(Accepts::accept(&mut listener), dialling);
        (accepted.0, dialled.unwrap())
    }

    #[tokio::test]
    async fn accepted_sockets_have_nagles_algorithm_off() {
        let (socket, _client) = pair().await;
        assert!(socket.stream.as_ref().unwrap().nodelay().unwrap());
    }

    #[tokio::test]
    async fn an_allowance_ends_reading_and_not_writing() {
        let (mut socket, mut client) = pair().await;
        let tap = socket.tap.clone();
        tap.allow(5);
        client.write_all(b"hello").await.unwrap();
        let mut read = [0; 5];
        socket.read_exact(&mut read).await.unwrap();
        assert!(tap.is_exhausted());
        client.write_all(b"more").await.unwrap();
        assert_eq!(socket.read(&mut read).await.unwrap_err().kind(), io::ErrorKind::QuotaExceeded);
        socket.write_all(b"enough").await.unwrap();
        tap.allow_all();
        assert_eq!(socket.read(&mut read).await.unwrap(), 4);
    }

    #[tokio::test]
    async fn last_words_arrive_though_the_client_is_not_done() {
        let (mut socket, mut client) = pair().await;
        socket.tap.linger();
        let large = vec![7; 8 << 20];
        let writing = async {
            client.write_all(&large).await.expect("nobody resets the connection");
            let mut words = Vec::new();
            client.shutdown().await.unwrap();
            client.read_to_end(&mut words).await.expect("nobody resets the connection");
            words
        };
        let closing = async {
            socket.write_all(b"farewell").await.unwrap();
            assert_eq!(socket.tap.written(), 8);
            drop(socket);
        };
        let (words, ()) = tokio::join!(writing, closing);
        assert_eq!(words, b"farewell");
    }
}
