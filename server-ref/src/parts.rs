//! What follows a send to its handler: the parts of a stream (level *Streams*).

use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use std::collections::VecDeque;
use std::fmt;

/// The parts of the stream that a message opens; none, if it opens none. The client is never further ahead than the window
/// of a stream: a handler that takes its time slows it down, and nobody else.
///
/// ```
/// use futures::FutureExt;
/// use futures::future::BoxFuture;
/// use readywire_server::application::{Answer, Failure, Handler, Request};
///
/// /// Counts the bytes of what is uploaded.
/// struct Upload;
///
/// impl Handler for Upload {
///     fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
///         async move {
///             let mut bytes = 0;
///             while let Some(part) = request.parts.next().await {
///                 bytes += part?.size(); // a stream that broke off is no upload
///             }
///             answer.end("uploaded", &bytes).await
///         }
///         .boxed()
///     }
/// }
/// ```
#[derive(Default)]
pub struct Parts {
    source: Option<Box<dyn Source>>,
}

/// Where parts come from.
pub trait Source: Send {
    /// The next part; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Payload, BrokenOff>>>;
}

/// A stream ended before its client ended it: the client stopped, or its session is over, or the log that parts stand on
/// does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the stream broke off before its end")
    }
}

impl std::error::Error for BrokenOff {}

impl Parts {
    /// Parts that come from elsewhere.
    pub fn new(source: impl Source + 'static) -> Self {
        Self { source: Some(Box::new(source)) }
    }

    /// The next part, which counts as read from here on; `None` when the client has ended the stream.
    ///
    /// # Errors
    /// It broke off: nothing else comes, and it was not the end.
    pub async fn next(&mut self) -> Option<Result<Payload, BrokenOff>> {
        let next = self.source.as_mut()?.next().await;
        if !matches!(next, Some(Ok(_))) {
            self.source = None;
        }
        next
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Parts(open {})", self.source.is_some())
    }
}

/// These parts, and the end.
impl From<Vec<Payload>> for Parts {
    fn from(parts: Vec<Payload>) -> Self {
        Self::new(VecDeque::from(parts))
    }
}

impl Source for VecDeque<Payload> {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Payload, BrokenOff>>> {
        async { self.pop_front().map(Ok) }.boxed()
    }
}
