//! Questions: somebody at the server waits for what the application says (level *Questions*).
//!
//! A question is open until it is answered; from then on its answer is a send like others. Whatever else ends it is told.

use super::*;
use crate::capability::QUESTIONS;

/// Of an answer that this end gives by itself: nobody waits for its outcome.
const NOBODY: u64 = u64::MAX;

/// The name and the offset of each question that is open.
#[cfg(feature = "questions")]
type Open = Vec<(u64, u64)>;
/// A build without questions has none, and need not know how to drop them.
#[cfg(not(feature = "questions"))]
type Open = std::mem::ManuallyDrop<Vec<(u64, u64)>>;

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Questions {
    /// Names the next one for the application: an offset would be that of another in the next session.
    next: u64,
    /// Those that the application has not answered.
    open: Open,
}

/// What a send is to a question.
#[cfg(feature = "questions")]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::client) struct Reply(Option<(u64, Option<AnswerError>)>);

#[cfg(feature = "questions")]
impl Reply {
    fn to(offset: u64, error: Option<AnswerError>) -> Self {
        Self(Some((offset, error)))
    }

    /// The offset of the question that it answers.
    pub(in crate::client) fn re(&self) -> Option<u64> {
        self.0.as_ref().map(|(offset, _)| *offset)
    }

    /// Why that has no answer.
    pub(in crate::client) fn error(&self) -> Option<&AnswerError> {
        self.0.as_ref()?.1.as_ref()
    }
}

/// A build without questions answers none.
#[cfg(not(feature = "questions"))]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::client) struct Reply;

#[cfg(not(feature = "questions"))]
impl Reply {
    fn to(_: u64, _: Option<AnswerError>) -> Self {
        Self
    }

    pub(in crate::client) fn re(&self) -> Option<u64> {
        None
    }

    pub(in crate::client) fn error(&self) -> Option<&AnswerError> {
        None
    }
}

impl Client {
    /// Answers the question of a [`ClientEvent::Question`], with a payload or with why there is none. Its outcome comes under
    /// `handle`, as for [`Client::send`]; whoever answers twice, or too late, is refused with `not_asked`.
    pub fn answer(&mut self, now: Instant, handle: u64, question: u64, answer: Result<Payload, AnswerError>) {
        let closed = self.current.phase == Phase::Ended || self.closing.is_some();
        let open = self.questions.open.iter().position(|(name, _)| *name == question);
        let refusal = match open {
            _ if closed => Rejection::local("closed", "the client is closed", false),
            None => not_asked(),
            Some(at) => {
                let (_, offset) = self.questions.open.remove(at);
                self.reply(handle, offset, answer);
                self.flush(now);
                return self.carry();
            }
        };
        self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Refused(refusal) });
    }

    /// Answers that nothing in this application does, without an outcome.
    pub fn unhandled(&mut self, now: Instant, question: u64) {
        let message = "nothing here answers it".to_owned();
        self.answer(now, NOBODY, question, Err(AnswerError { code: "unhandled".to_owned(), message }));
    }

    fn reply(&mut self, handle: u64, offset: u64, answer: Result<Payload, AnswerError>) {
        let (payload, error) = match answer {
            Ok(payload) => (payload, None),
            Err(error) => (Payload::null(), Some(error)),
        };
        let mut entry = Entry::new(handle, "", payload, InStream::No, Instant::default());
        entry.reply = Reply::to(offset, error);
        self.outbox.waiting.push(entry);
    }

    /// Whether the server asks on this connection.
    pub(super) fn is_asked(&mut self) -> bool {
        QUESTIONS && self.current.ready().is_some_and(|ready| ready.questions)
    }

    pub(super) fn asked(&mut self, offset: u64, event: String, payload: Payload) {
        self.questions.next += 1;
        let question = self.questions.next;
        self.questions.open.push((question, offset));
        self.events.push(ClientEvent::Question { question, offset, event, payload });
    }

    /// Nobody waits for an answer to this question any more (clause `question.stops`).
    pub(super) fn withdrawn(&mut self, re: u64) {
        self.drop_questions(|offset| offset == re);
    }

    /// Every question is over: its session is, or the server does not speak of questions any more.
    pub(super) fn lose_questions(&mut self) {
        if QUESTIONS {
            self.drop_questions(|_| true);
        }
    }

    fn drop_questions(&mut self, over: impl Fn(u64) -> bool) {
        let mut index = 0;
        while let Some(&(question, offset)) = self.questions.open.get(index) {
            if over(offset) {
                self.questions.open.remove(index);
                self.events.push(ClientEvent::Withdrawn { question });
            } else {
                index += 1;
            }
        }
        index = 0;
        while let Some(entry) = self.outbox.waiting.get(index) {
            if entry.reply.re().is_some_and(&over) {
                if let Some(entry) = outbox::take(&mut self.outbox.waiting, index) {
                    self.settle(&entry, Outcome::Refused(not_asked()));
                }
            } else {
                index += 1;
            }
        }
    }

    /// An answer that cannot be written, whatever it says, is replaced by one that says so; tells whether it was (clause
    /// `question.once`).
    pub(super) fn answer_instead(&mut self, entry: &Entry, refusal: &Rejection) -> bool {
        let Some(offset) = entry.reply.re().filter(|_| QUESTIONS && entry.handle != NOBODY) else { return false };
        let error = AnswerError { code: refusal.code.clone(), message: refusal.message.clone() };
        self.reply(NOBODY, offset, Err(error));
        true
    }

    /// The offsets of the questions up to `inbox` that nobody may have answered.
    #[cfg(feature = "questions")]
    pub(super) fn open_questions(&self, inbox: u64) -> Vec<u64> {
        let answered = self.outbox.written.iter().chain(&self.outbox.waiting);
        let open = self.questions.open.iter().map(|(_, offset)| *offset);
        open.chain(answered.filter_map(|entry| entry.reply.re())).filter(|offset| *offset <= inbox).collect()
    }

    /// What would have answered these is gone together with the client that left the session (clause `question.carried`).
    #[cfg(feature = "questions")]
    pub(super) fn answer_for_former(&mut self, carried: &Carried) {
        for offset in &carried.questions {
            let message = "what would have answered it is gone".to_owned();
            self.reply(NOBODY, *offset, Err(AnswerError { code: "unhandled".to_owned(), message }));
        }
    }
}

fn not_asked() -> Rejection {
    Rejection::local("not_asked", "nobody waits for an answer", false)
}
