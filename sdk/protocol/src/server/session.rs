//! One session, as the records of its log tell it.
//!
//! What happens to a session is written down before it counts: a command gives a [`SessionRecord`], the driver appends
//! it to the session's log under [`Session::fence`], and only then tells anybody. Whoever reads the log from its
//! beginning, or from the last [`SessionRecord::Whole`], holds the same session. The inbox has a log of its own, to which
//! others append than the connection that has the session.

use super::connection::Decision;
use super::sessions::{BindError, Credentials, SecretHash};
use crate::frame::{Refusal, Resume};
use std::collections::BTreeMap;

/// How many tokens of a session are good at once, until its client shows one.
const MAX_TOKENS: usize = 8;
/// So many connections in a row may one message of the inbox end, and the session with the last.
const MAX_BLAME: u32 = 3;

/// Something that happened to a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SessionRecord {
    /// It began, bound to the connection that was given this token.
    Began {
        /// Whom it belongs to.
        subject: String,
        /// The hash of the token.
        token: SecretHash,
        /// How many refusals are kept, at most.
        keeps_refusals: u64,
    },
    /// It was bound once more, which raises its fence.
    Bound {
        /// The attempt that bound it.
        attempt: u64,
        /// Refusals up to here are settled.
        settled: u64,
        /// The hash of the token that was shown.
        presented: SecretHash,
        /// The hash of the token that was given.
        token: SecretHash,
    },
    /// The client has shown that it holds the latest token.
    Confirmed,
    /// Every send up to this id is decided: taken, but for these.
    Decided {
        /// The highest id.
        through: u64,
        /// What was refused.
        refused: Vec<Refusal>,
    },
    /// Somebody asked to stop an answer, which may be worked on elsewhere.
    Cancelled {
        /// The send that asked for it.
        re: u64,
    },
    /// The connection that had it is gone.
    Detached {
        /// When, on a clock that only tells earlier from later.
        at: u64,
    },
    /// A connection that had it ended with this as the first message that was delivered and not taken.
    Blamed {
        /// Its offset, if there was one.
        untaken: Option<u64>,
    },
    /// Whoever had it under this fence starts nothing more: the handlers of what was taken have started.
    Released {
        /// The fence.
        fence: u64,
    },
    /// It is over.
    Ended,
    /// All that the records before this tell: they may be dropped.
    Whole(Box<Session>),
}

/// One session, but for its inbox.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Session {
    /// Whom it belongs to.
    pub subject: String,
    /// The tokens that prove it, in the order they were given; all but the last only until somebody shows the last.
    pub tokens: Vec<SecretHash>,
    /// The attempt that bound it last.
    pub attempt: u64,
    /// How often it was bound: who has it writes under this fence (clause `session.fence`).
    pub fence: u64,
    /// The fence under which something was decided last; 0 if nothing was.
    pub decided_under: u64,
    /// The highest fence that was released; 0 if none was.
    pub released: u64,
    /// Since when no connection has it.
    pub detached_at: Option<u64>,
    /// The highest id decided.
    pub received: u64,
    /// What was refused, until the client has settled it.
    pub refused: BTreeMap<u64, Refusal>,
    /// How many of these are kept.
    pub keeps_refusals: u64,
    /// The message that the last connections ended at, and how many these are.
    pub blamed: Option<(u64, u32)>,
    /// Whether it is over.
    pub over: bool,
}

/// What an inbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InboxRange {
    /// The lowest offset that is kept; above the head if nothing is.
    pub first: u64,
    /// The offset of the last message.
    pub head: u64,
}

impl Session {
    /// The session that these records tell of, the first of which has to begin it or be the whole of it.
    pub fn fold(records: impl IntoIterator<Item = SessionRecord>) -> Option<Self> {
        let mut records = records.into_iter();
        let mut session = match records.next()? {
            SessionRecord::Began { subject, token, keeps_refusals } => Self {
                subject,
                tokens: vec![token],
                attempt: 0,
                fence: 1,
                decided_under: 0,
                released: 0,
                detached_at: None,
                received: 0,
                refused: BTreeMap::new(),
                keeps_refusals,
                blamed: None,
                over: false,
            },
            SessionRecord::Whole(session) => *session,
            _ => return None,
        };
        records.for_each(|record| session.apply(record));
        Some(session)
    }

    /// Takes in what happened next.
    pub fn apply(&mut self, record: SessionRecord) {
        match record {
            // It has begun already.
            SessionRecord::Began { .. } | SessionRecord::Cancelled { .. } => {}
            SessionRecord::Bound { attempt, settled, presented, token } => {
                self.attempt = attempt;
                self.fence += 1;
                self.detached_at = None;
                // The token presented stays good until a frame arrives on this connection, and so do those given after
                // it: the upgrade that presented an older one may be a repeated one that comes late (clause
                // `session.token`).
                let proof = self.tokens.iter().position(|known| *known == presented).unwrap_or_default();
                self.tokens.drain(..proof);
                if self.tokens.len() == MAX_TOKENS {
                    self.tokens.remove(1);
                }
                self.tokens.push(token);
                self.refused.retain(|id, _| *id > settled);
            }
            SessionRecord::Confirmed => {
                self.tokens.drain(..self.tokens.len().saturating_sub(1));
            }
            SessionRecord::Decided { through, refused } => {
                self.received = self.received.max(through);
                self.decided_under = self.fence;
                for refusal in refused {
                    self.refused.insert(refusal.id, refusal);
                    // Older ones are settled, or the client could not have written this one (clause `nack.kept`).
                    while self.refused.len() as u64 > self.keeps_refusals {
                        self.refused.pop_first();
                    }
                }
            }
            SessionRecord::Detached { at } => {
                self.detached_at = Some(at);
                // One that decided nothing knows nothing of those before it.
                if self.decided_under == self.fence {
                    self.released = self.fence;
                }
            }
            SessionRecord::Released { fence } => self.released = self.released.max(fence),
            SessionRecord::Blamed { untaken } => {
                self.blamed = untaken.map(|offset| match self.blamed {
                    Some((same, count)) if same == offset => (offset, count + 1),
                    _ => (offset, 1),
                });
                let poisoned = self.blamed.is_some_and(|(_, count)| count >= MAX_BLAME);
                self.over |= poisoned && self.detached_at.is_some();
            }
            SessionRecord::Ended => self.over = true,
            SessionRecord::Whole(session) => *self = *session,
        }
    }

    /// The record that binds the session to who resumes it; `None` if it is not theirs to resume, for whatever cause
    /// (clauses `session.attempt`, `session.resumed`, `session.subject`, `session.received_range`).
    ///
    /// # Errors
    /// A later attempt has it.
    pub fn resume(
        &self,
        credentials: &Credentials,
        resume: &Resume,
        inbox: InboxRange,
    ) -> Result<Option<SessionRecord>, BindError> {
        let proof = credentials.presented.filter(|hash| self.tokens.iter().any(|token| same(hash, token)));
        // One that came before the last connection to blame had ended could not be kept from it.
        let poisoned = self.blamed.is_some_and(|(offset, count)| count >= MAX_BLAME && offset > resume.inbox);
        let possible = !self.over && resume.inbox <= inbox.head && resume.inbox + 1 >= inbox.first && !poisoned;
        let Some(presented) = proof.filter(|_| self.subject == credentials.subject && possible) else {
            return Ok(None);
        };
        if resume.attempt < self.attempt {
            return Err(BindError::TakenOver);
        }
        let (attempt, settled) = (resume.attempt, resume.settled);
        Ok(Some(SessionRecord::Bound { attempt, settled, presented, token: credentials.fresh_token }))
    }

    /// Whether a former connection took sends whose handlers may not have started: until it has released them, who has
    /// the session now decides nothing (clause `send.order`).
    pub fn awaits_release(&self) -> bool {
        self.released < self.decided_under && self.decided_under < self.fence
    }

    /// What was decided of this id, if it was (clause `send.duplicate`).
    pub fn decided(&self, id: u64) -> Option<Decision> {
        (id <= self.received).then(|| match self.refused.get(&id) {
            Some(refusal) => Decision::Refused(refusal.clone()),
            None => Decision::Taken,
        })
    }
}

/// Compares without telling by its time where two hashes differ.
fn same(left: &SecretHash, right: &SecretHash) -> bool {
    left.iter().zip(right).fold(0, |difference, (left, right)| difference | (left ^ right)) == 0
}
