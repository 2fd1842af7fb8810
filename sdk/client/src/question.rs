//! Questions of the server, and the answers that its handlers wait for.

use crate::client::Link;
use crate::engine::Input;
use crate::front::{BUFFER, Request};
use crate::payload::{FromPayload, IntoPayload, PayloadError};
use crate::sending::Sending;
use futures::Stream;
use futures::channel::{mpsc, oneshot};
use readywire_protocol::frame::AnswerError;
use readywire_protocol::json::Payload as CorePayload;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The questions of one event, from the first on; see [`Options::questions`](crate::Options::questions) and
/// [`Client::questions`](crate::Client::questions). They go on across reconnects.
///
/// ```no_run
/// use futures::StreamExt;
/// use readywire::{Options, Questions, connect};
///
/// async fn run() -> Result<(), Box<dyn std::error::Error>> {
///     let mut options = Options::new().bearer("token");
///     tokio::spawn(confirm(options.questions("confirm")));
///     let client = connect("wss://example.com/ws", options).await?;
///     client.send("agent.start", &"tidy up").await?;
///     Ok(())
/// }
///
/// async fn confirm(mut questions: Questions) {
///     while let Some(question) = questions.next().await {
///         let answer = match question.payload::<String>() {
///             Ok(tool) => question.answer(&(tool == "search")),
///             Err(error) => question.refuse("bad_payload", &error.message),
///         };
///         if let Err(error) = answer.await {
///             println!("nobody waits any more: {error}");
///         }
///     }
/// }
/// ```
#[derive(Debug)]
pub struct Questions {
    pub(crate) asked: mpsc::Receiver<Asked>,
    pub(crate) link: Link,
}

/// A question on its way to the application.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) question: u64,
    pub(crate) offset: u64,
    pub(crate) event: String,
    pub(crate) payload: CorePayload,
    pub(crate) withdrawn: oneshot::Receiver<()>,
}

/// A question: a handler of the server waits for [`Question::answer`]. Dropping it without an answer tells that handler that
/// this failed.
#[derive(Debug)]
pub struct Question {
    /// Its offset in the session's inbox.
    pub offset: u64,
    /// What it is.
    pub event: String,
    payload: CorePayload,
    question: u64,
    withdrawn: oneshot::Receiver<()>,
    answered: bool,
    link: Link,
}

impl Link {
    /// Answers the questions of an event, in place of whoever did.
    pub(crate) fn questions(&self, event: &str) -> Questions {
        let (questions, asked) = mpsc::channel(BUFFER);
        self.give(Input::Sink(Request::Questions { event: event.to_owned(), questions }));
        Questions { asked, link: self.clone() }
    }
}

impl Question {
    /// The payload: any value that serde can read, or [`Bytes`](crate::Bytes).
    ///
    /// # Errors
    /// It is not of this type.
    pub fn payload<T: FromPayload>(&self) -> Result<T, PayloadError> {
        T::from_payload(&self.payload)
    }

    /// Answers it. Resolves when the server has taken the answer; if nobody waits for it any more, it is refused with
    /// `not_asked`.
    pub fn answer(mut self, payload: impl IntoPayload) -> Sending {
        match payload.into_payload() {
            Ok(payload) => self.reply(Ok(payload)),
            Err(error) => Sending::failed(error),
        }
    }

    /// Answers that there is no answer, and why.
    pub fn refuse(mut self, code: &str, message: &str) -> Sending {
        self.reply(Err(AnswerError { code: code.to_owned(), message: message.to_owned() }))
    }

    /// Resolves when nobody waits for the answer any more: the handler has given it up, or the session is over.
    pub async fn withdrawn(&mut self) {
        let _ = (&mut self.withdrawn).await;
    }

    fn reply(&mut self, answer: Result<CorePayload, AnswerError>) -> Sending {
        self.answered = true;
        self.link.send(|handle| Input::Answer { handle, question: self.question, answer })
    }
}

impl Stream for Questions {
    type Item = Question;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Poll::Ready(next) = Pin::new(&mut self.asked).poll_next(context) else { return Poll::Pending };
        let link = &self.link;
        Poll::Ready(next.map(|Asked { question, offset, event, payload, withdrawn }| Question {
            offset,
            event,
            payload,
            question,
            withdrawn,
            answered: false,
            link: link.clone(),
        }))
    }
}

impl Drop for Questions {
    /// Nobody reads what has come.
    fn drop(&mut self) {
        self.asked.close();
        while let Ok(asked) = self.asked.try_recv() {
            let handle = self.link.next_handle();
            let answer = Err(unhandled());
            self.link.give(Input::Answer { handle, question: asked.question, answer });
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if !self.answered {
            let message = "what should have answered it failed".to_owned();
            drop(self.reply(Err(AnswerError { code: "failed".to_owned(), message })));
        }
    }
}

/// What a question is answered with that nothing here answers (clause `question.once`).
fn unhandled() -> AnswerError {
    AnswerError { code: "unhandled".to_owned(), message: "nothing here answers it".to_owned() }
}
