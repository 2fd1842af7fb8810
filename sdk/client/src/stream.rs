//! A stream: parts that follow a send to its handler, no faster than that reads.

use crate::answer::Answer;
use crate::client::Link;
use crate::engine::Input;
use crate::error::SendError;
use crate::front::Request;
use crate::payload::IntoPayload;
use crate::sending::Sending;
use futures::channel::oneshot;

/// A stream to one handler, and the answer that comes back (level *Streams*). It goes on across reconnects, and each part is
/// read once, in order. A part is a message of its own, at most as large as the server takes: 1 MiB by default.
///
/// Dropping it before its end stops the work at the server. Who has to read the answer while there is still something to
/// write, since the handler answers each part, [splits](ClientStream::split) it.
///
/// ```no_run
/// use futures::StreamExt;
/// use readywire::{Bytes, Options, connect};
///
/// async fn transcribe(sound: Vec<Vec<u8>>) -> Result<(), Box<dyn std::error::Error>> {
///     let client = connect("wss://example.com/ws", Options::new().bearer("token")).await?;
///     let mut stream = client.open_stream::<String>("transcribe", &"en");
///     for chunk in sound {
///         stream.write(Bytes::from(chunk)).await?; // waits while the handler is behind
///     }
///     let mut words = stream.end().await?;
///     while let Some(word) = words.next().await {
///         println!("{}", word?.payload);
///     }
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct ClientStream<T> {
    writer: StreamWriter,
    answer: Answer<T>,
}

impl<T> ClientStream<T> {
    pub(crate) fn new(answer: Answer<T>) -> Self {
        let writer = StreamWriter { stream: answer.handle, link: answer.link.clone(), placing: None, ended: false };
        Self { writer, answer }
    }

    /// See [`StreamWriter::write`].
    ///
    /// # Errors
    /// See there.
    pub async fn write(&mut self, payload: impl IntoPayload) -> Result<(), SendError> {
        self.writer.write(payload).await
    }

    /// Ends the stream: the handler is told that nothing follows. What is left is the answer.
    ///
    /// # Errors
    /// The stream is over already. Its answer says why, and is dropped here: [`ClientStream::split`] keeps it.
    pub async fn end(self) -> Result<Answer<T>, SendError> {
        self.writer.end().await?;
        Ok(self.answer)
    }

    /// The answer so far.
    pub fn answer(&mut self) -> &mut Answer<T> {
        &mut self.answer
    }

    /// The two directions, for two tasks, or for two futures of one:
    ///
    /// ```no_run
    /// use futures::StreamExt;
    /// use readywire::{Bytes, Client, SendError};
    ///
    /// async fn dictate(client: &Client, sound: Vec<Vec<u8>>) -> Result<(), SendError> {
    ///     let (mut writer, mut words) = client.open_stream::<String>("transcribe", &"en").split();
    ///     let writing = async move {
    ///         for chunk in sound {
    ///             writer.write(Bytes::from(chunk)).await?;
    ///         }
    ///         writer.end().await
    ///     };
    ///     let reading = async {
    ///         while let Some(Ok(word)) = words.next().await {
    ///             println!("{}", word.payload); // while the rest is still on its way
    ///         }
    ///     };
    ///     futures::join!(writing, reading).0
    /// }
    /// ```
    pub fn split(self) -> (StreamWriter, Answer<T>) {
        (self.writer, self.answer)
    }
}

/// The way to a handler. Dropping it before [`StreamWriter::end`] stops the work at the server, since nobody would ever
/// send the rest.
#[derive(Debug)]
pub struct StreamWriter {
    stream: u64,
    link: Link,
    /// What was given last, until it has its place.
    placing: Option<oneshot::Receiver<Result<(), SendError>>>,
    ended: bool,
}

impl StreamWriter {
    /// Writes the next part. Resolves as soon as it has its place, which is when the handler is not too far behind: so
    /// whoever awaits it is never much faster than the handler. A part that is given is on its way, even if this is dropped.
    ///
    /// # Errors
    /// The stream is over, since its handler has ended, it was cancelled or its session is lost; or a part of it cannot be
    /// sent, and the stream is cancelled. Its answer says more.
    pub async fn write(&mut self, payload: impl IntoPayload) -> Result<(), SendError> {
        let payload = payload.into_payload()?;
        let stream = self.stream;
        self.give(|handle| Input::Part { handle, stream, payload }).await
    }

    /// Gives the next part without waiting for its place, and resolves to its one outcome. If the part before still waits, it
    /// is refused with `stream_full`, and nothing is lost but this call.
    pub fn try_write(&mut self, payload: impl IntoPayload) -> Sending {
        let payload = match payload.into_payload() {
            Ok(payload) => payload,
            Err(error) => return Sending::failed(error),
        };
        self.link.send(|handle| Input::Part { handle, stream: self.stream, payload })
    }

    /// Ends the stream: the handler is told that nothing follows.
    ///
    /// # Errors
    /// The stream is over already; its answer says why.
    pub async fn end(mut self) -> Result<(), SendError> {
        self.ended = true;
        let stream = self.stream;
        self.give(|handle| Input::EndStream { handle, stream }).await
    }

    async fn give(&mut self, input: impl FnOnce(u64) -> Input<Request>) -> Result<(), SendError> {
        // Left waiting by whoever dropped an earlier write.
        self.placed().await?;
        let handle = self.link.next_handle();
        let (place, placed) = oneshot::channel();
        self.link.give(Input::Sink(Request::Place { handle, place }));
        self.link.give(input(handle));
        self.placing = Some(placed);
        self.placed().await
    }

    async fn placed(&mut self) -> Result<(), SendError> {
        let Some(placing) = &mut self.placing else { return Ok(()) };
        let placed = placing.await.unwrap_or_else(|_| Err(SendError::closed()));
        self.placing = None;
        placed
    }
}

impl Drop for StreamWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.link.cancel(self.stream);
        }
    }
}
