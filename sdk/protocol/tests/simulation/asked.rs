//! What has to come of questions: one outcome for each, the same at both ends.

use crate::coverage::Sight;
use crate::ledger::tag;
use crate::questions::reply_of;
use crate::watch::Watch;
use readywire_protocol::client::Outcome;
use readywire_protocol::frame::Send;
use std::collections::{BTreeMap, BTreeSet};

/// The handle of what a client answers by itself.
const NOBODY: u64 = u64::MAX;

/// What whoever asked is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The answer that was given under this handle.
    Answered(u64),
    /// Why there is none, as the client itself says it.
    Failed(String),
    /// It would not wait any longer.
    GaveUp,
    /// The client answers no questions.
    Unsupported,
    /// The session is over.
    Gone,
}

/// What is known of questions and answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// By number.
    stories: BTreeMap<u64, Story>,
    /// The number of what the client calls so.
    names: BTreeMap<u64, u64>,
    /// By handle.
    replies: BTreeMap<u64, Reply>,
    /// The id under which each question was answered on the wire.
    written: BTreeMap<(String, u64), u64>,
    /// What the client has read a `cancel` for.
    cancelled: BTreeSet<(String, u64)>,
    /// What was withdrawn while somebody waits for it: the session must be over, which is told next.
    orphans: Vec<u64>,
}

/// One question.
#[derive(Clone, Debug)]
struct Story {
    session: String,
    offset: u64,
    told: Option<Told>,
    came: bool,
    /// The application has it, and has not answered.
    open: bool,
    /// The answer that was given first, of each page that it came to.
    given: Vec<u64>,
    unhandled: bool,
}

/// One answer.
#[derive(Clone, Debug)]
struct Reply {
    large: bool,
    outcome: Option<Outcome>,
}

impl Watch {
    pub(crate) fn asks(&mut self, number: u64, session: &str, offset: u64) {
        let session = session.to_owned();
        let story =
            Story { session, offset, told: None, came: false, open: false, given: Vec::new(), unhandled: false };
        self.questioned.stories.insert(number, story);
    }

    /// Whoever asked is told what came of it.
    pub(crate) fn asker_told(&mut self, number: u64, told: Told) {
        self.note_line(|| format!("  asker of {number} is told {told:?}"));
        let Some(story) = self.questioned.stories.get_mut(&number) else { return };
        let before = story.told.replace(told.clone());
        let Story { given, unhandled, .. } = story.clone();
        self.require(before.is_none(), "one outcome for each question", || format!("{number}: {before:?}, {told:?}"));
        let reply = |handle: &u64| self.questioned.replies.get(handle);
        let refused = |reply: &Reply| matches!(reply.outcome, Some(Outcome::Refused(_)));
        let answered = |of: u64| given.contains(&of) && !reply(&of).is_some_and(refused);
        let too_large = given.iter().filter_map(reply).any(|reply| reply.large && refused(reply));
        let acknowledged = |reply: &Reply| matches!(reply.outcome, Some(Outcome::Acknowledged { .. }));
        let others = given.iter().filter(|handle| told != Told::Answered(**handle));
        let elsewhere = others.filter_map(reply).any(acknowledged);
        let true_answer = match &told {
            Told::Answered(handle) => answered(*handle),
            Told::Failed(code) if code == "unhandled" => unhandled,
            Told::Failed(code) => code == "too_large" && too_large,
            Told::GaveUp | Told::Unsupported | Told::Gone => true,
        };
        self.saw(match &told {
            Told::Answered(_) => Sight::QuestionAnswered,
            Told::Failed(code) if code == "unhandled" => Sight::QuestionUnhandled,
            Told::Failed(_) => Sight::QuestionTooLarge,
            Told::GaveUp => Sight::QuestionGivenUp,
            Told::Unsupported => Sight::QuestionUnsupported,
            Told::Gone => Sight::QuestionLost,
        });
        self.require(true_answer, "whoever asks is told the first answer that was given", || {
            format!("question {number}: {told:?}, given {given:?}")
        });
        self.require(!elsewhere, "an acknowledged answer is what the asker is told", || format!("{number}: {told:?}"));
    }

    /// A question came to the application.
    pub(crate) fn question_came(&mut self, question: u64, offset: u64, payload: &str) {
        self.offset(offset);
        let number = tag(payload, "question").unwrap_or_default();
        let again = self.questioned.names.insert(question, number).is_some();
        let session = self.ledger.session.clone();
        let story = self.questioned.stories.get_mut(&number);
        let fits = story.is_some_and(|story| {
            let fits = !story.came && story.session == session && story.offset == offset;
            (story.came, story.open) = (true, true);
            fits
        });
        self.require(fits && !again, "a question comes once, in its session and at its place", || {
            format!("question {question}, {payload} at {offset} of {session}")
        });
    }

    /// A message that was one of these, at a server that asks nothing.
    pub(crate) fn question_replaced(&mut self, offset: u64) -> bool {
        let session = &self.ledger.session;
        let found =
            self.questioned.stories.values_mut().find(|story| story.offset == offset && story.session == *session);
        let Some(story) = found else { return false };
        let again = std::mem::replace(&mut story.came, true);
        let told = story.told.clone();
        self.offset(offset);
        self.require(!again && told.is_some(), "who asks where nobody answers is told", || {
            format!("{offset}: {told:?}")
        });
        true
    }

    pub(crate) fn unhandled(&mut self, question: u64) {
        // A client that closes answers nothing more.
        if !self.is_closing()
            && let Some(story) = self.story_of(question)
        {
            story.unhandled |= std::mem::take(&mut story.open);
        }
    }

    /// The application is about to answer.
    pub(crate) fn replies(&mut self, question: u64, handle: u64, large: bool) {
        self.questioned.replies.insert(handle, Reply { large, outcome: None });
        if !self.is_closing()
            && let Some(story) = self.story_of(question)
            && std::mem::take(&mut story.open)
        {
            story.given.push(handle);
        }
    }

    fn story_of(&mut self, question: u64) -> Option<&mut Story> {
        self.questioned.stories.get_mut(self.questioned.names.get(&question)?)
    }

    /// An answer is on the wire.
    pub(crate) fn answer_written(&mut self, session: &str, send: &Send) {
        let Some(re) = send.re else { return };
        let key = (session.to_owned(), re);
        let story =
            self.questioned.stories.values().find(|story| story.offset == re && story.session == session).cloned();
        let came = story.as_ref().is_some_and(|story| story.came);
        self.require(came, "an answer names a question of its session that was delivered", || format!("{send:?}"));
        let before = self.questioned.written.insert(key.clone(), send.id);
        if before == Some(send.id) {
            self.saw(Sight::QuestionAnswerMoved);
        }
        // One that is too large for the next server is replaced by what says so, and was not taken before.
        let last = story.and_then(|story| self.questioned.replies.get(story.given.last()?));
        let too_large = send.error.as_ref().is_some_and(|error| error.code == "too_large");
        let replaced = too_large && last.is_some_and(|reply| reply.large);
        self.require(before.is_none_or(|id| id == send.id || replaced), "one send answers each question", || {
            format!("{re}: id {before:?} and {send:?}")
        });
        let stopped = before.is_none() && self.questioned.cancelled.contains(&key);
        self.require(!stopped, "nothing is written for what was withdrawn", || format!("{send:?}"));
        let outcome = reply_of(send).and_then(|handle| self.questioned.replies.get(&handle)?.outcome.clone());
        self.require(outcome.is_none(), "nothing that has its outcome is written again", || {
            format!("{send:?}: {outcome:?}")
        });
    }

    /// The client reads that nobody waits for this any more.
    pub(crate) fn cancel_read(&mut self, session: &str, re: u64) {
        self.questioned.cancelled.insert((session.to_owned(), re));
    }

    /// The application learned that nobody waits for an answer any more.
    pub(crate) fn question_withdrawn(&mut self, question: u64) {
        let number = self.questioned.names.get(&question).copied().unwrap_or_default();
        let story = self.story_of(question);
        let open = story.as_ref().is_some_and(|story| story.open);
        let waited = story.as_ref().is_some_and(|story| story.told.is_none());
        if let Some(story) = story {
            story.open = false;
        }
        if waited {
            self.questioned.orphans.push(number);
        } else {
            self.saw(Sight::QuestionWithdrawn);
        }
        self.require(open, "a question is withdrawn once, and none that was answered", || number.to_string());
    }

    /// A session is over: so are its questions.
    pub(crate) fn questions_orphaned(&mut self) {
        self.questioned.orphans.clear();
    }

    /// Everything that one step led to is told.
    pub(crate) fn no_orphans(&mut self) {
        let orphans = self.questioned.orphans.clone();
        self.require(orphans.is_empty(), "a question is withdrawn when nobody waits, or its session is over", || {
            format!("{orphans:?}")
        });
    }

    /// The application learned what became of an answer.
    pub(crate) fn reply_settled(&mut self, handle: u64, outcome: &Outcome) {
        let aged = matches!(outcome, Outcome::Expired | Outcome::Written { .. });
        self.require(!aged, "an answer waits as long as its question is open", || format!("{handle}: {outcome:?}"));
        if handle == NOBODY {
            return;
        }
        let Some(reply) = self.questioned.replies.get_mut(&handle) else { return };
        let before = reply.outcome.replace(outcome.clone());
        self.require(before.is_none(), "one outcome for each answer", || format!("{handle}: {before:?}, {outcome:?}"));
        let of = self.questioned.stories.values().find(|story| story.given.contains(&handle));
        let told = of.map(|story| story.told.clone());
        let reached = told == Some(Some(Told::Answered(handle)));
        let true_outcome = match outcome {
            Outcome::Acknowledged { .. } => reached,
            Outcome::Refused(rejection) => {
                if rejection.code == "not_asked" {
                    self.saw(Sight::QuestionAnsweredLate);
                }
                !reached
            }
            _ => true,
        };
        self.require(true_outcome, "an answer has the same outcome at both ends", || {
            format!("answer {handle}: {outcome:?}, whoever asked is told {told:?}")
        });
    }

    /// Whether questions are still to come, or to be withdrawn, in the session that the client has.
    pub(crate) fn awaits_questions(&self) -> bool {
        let here = self.questioned.stories.values().filter(|story| story.session == self.ledger.session);
        here.into_iter().any(|story| !story.came || story.open && story.told.is_some())
    }

    /// The page is gone. What it has taken, and not answered, the next one answers by itself; what it had beyond that comes
    /// once more.
    pub(crate) fn questions_left(&mut self, inbox: u64, open: &[u64]) {
        let session = self.ledger.session.clone();
        let Asked { stories, names, replies, written, cancelled, orphans } = &mut self.questioned;
        names.clear();
        written.clear();
        cancelled.clear();
        orphans.clear();
        for reply in replies.values_mut() {
            reply.outcome.get_or_insert(Outcome::Unknown { code: "gone" });
        }
        for story in stories.values_mut() {
            let left = story.session == session && story.offset <= inbox && open.contains(&story.offset);
            story.unhandled |= left;
            story.came &= story.session != session || story.offset <= inbox;
            story.open = false;
        }
        if !open.is_empty() {
            self.saw(Sight::QuestionLeft);
        }
    }

    /// Everything is over: every question and every answer, too.
    pub(crate) fn questions_settled(&mut self) {
        let Asked { stories, replies, .. } = self.questioned.clone();
        for (number, story) in stories {
            self.require(story.told.is_some() && !story.open, "each question has its outcome at both ends", || {
                format!("{number}: {story:?}")
            });
        }
        let open: Vec<u64> =
            replies.iter().filter(|(_, reply)| reply.outcome.is_none()).map(|(handle, _)| *handle).collect();
        self.require(open.is_empty(), "each answer has its outcome", || format!("{open:?}"));
    }
}
