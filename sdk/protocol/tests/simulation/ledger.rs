//! What the applications on both sides saw: sends and their outcomes, what was processed, answers, the inbox.

use crate::coverage::Sight;
use crate::watch::{LATE, Watch};
use readywire_protocol::client::{AnswerPart, Outcome, SendOptions};
use readywire_protocol::frame::Send;
use readywire_protocol::time::Instant;
use std::collections::BTreeMap;

/// One message that the client's application gave away.
#[derive(Clone, Debug)]
struct Offer {
    options: SendOptions,
    made_at: Instant,
    /// Whom the last `ready` belonged to when it was made.
    subject: Option<String>,
    /// The ids it was written with.
    ids: Vec<u64>,
    outcome: Option<Outcome>,
    /// The logs it was taken into, each time it was.
    processed: Vec<u64>,
    parts: u64,
    ended: bool,
    cancelled: bool,
}

/// Everything that is known of sends, answers and the inbox. Handles count from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    offers: Vec<Offer>,
    last_first_offer: u64,
    /// Which send an id of a session stands for.
    meaning: BTreeMap<(String, u64), u64>,
    /// On how many connections an id was the oldest one.
    tries: BTreeMap<(String, u64), u32>,
    /// The connection that each session belongs to, and the last id processed.
    bound: BTreeMap<String, (u64, u64)>,
    /// What was appended to each session's inbox that answers nothing.
    notes: BTreeMap<String, Vec<(u64, String)>>,
    pub(crate) session: String,
    subject: Option<String>,
    last_offset: u64,
    notes_seen: usize,
    logs_lost: u64,
}

/// What the application wrote into a payload: `{"send":17,…}`.
pub(crate) fn tag(payload: &str, name: &str) -> Option<u64> {
    let start = payload.find(name)? + name.len() + 2;
    let digits: String = payload[start..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

impl Watch {
    fn offer(&mut self, handle: u64) -> Option<&mut Offer> {
        self.ledger.offers.get_mut(usize::try_from(handle).ok()?.checked_sub(1)?)
    }

    /// The application is about to send.
    pub(crate) fn offered(&mut self, handle: u64, options: &SendOptions) {
        let subject = self.ledger.subject.clone();
        self.coverage.sends += 1;
        self.require(self.ledger.offers.len() as u64 + 1 == handle, "handles count up", || handle.to_string());
        self.ledger.offers.push(Offer {
            options: options.clone(),
            made_at: self.now,
            subject,
            ids: Vec::new(),
            outcome: None,
            processed: Vec::new(),
            parts: 0,
            ended: false,
            cancelled: false,
        });
    }

    /// The application stops an answer.
    pub(crate) fn cancelled(&mut self, handle: u64) {
        if let Some(offer) = self.offer(handle) {
            offer.cancelled = true;
        }
    }

    /// A send is on the wire; perhaps as the oldest of its connection.
    pub(crate) fn send_written(&mut self, session: &str, send: &Send, oldest: bool) {
        let Some(handle) = tag(send.payload.text().unwrap_or_default(), "send") else { return };
        let tries = self.ledger.tries.entry((session.to_owned(), send.id)).or_default();
        *tries += u32::from(oldest);
        let tries = *tries;
        self.require(tries <= 3, "no send may end a fourth connection", || format!("send {handle} as id {}", send.id));
        let meaning = *self.ledger.meaning.entry((session.to_owned(), send.id)).or_insert(handle);
        self.require(meaning == handle, "an id stands for one send", || {
            format!("id {} was send {meaning}, is send {handle}", send.id)
        });
        let last = self.ledger.last_first_offer;
        let Some(offer) = self.offer(handle) else { return };
        let outcome = offer.outcome.clone();
        let first = offer.ids.is_empty();
        if offer.ids.last() != Some(&send.id) {
            offer.ids.push(send.id);
        }
        if first {
            self.require(handle > last, "first offers keep their order", || format!("send {handle} after {last}"));
            self.ledger.last_first_offer = handle;
        }
        self.require(outcome.is_none(), "nothing that has its outcome is written again", || {
            format!("send {handle} is {outcome:?} and was written with id {}", send.id)
        });
    }

    /// The connection on which this send was the oldest did not end: it was left.
    pub(crate) fn excused(&mut self, session: &str, id: u64) {
        if let Some(tries) = self.ledger.tries.get_mut(&(session.to_owned(), id)) {
            *tries = tries.saturating_sub(1);
        }
    }

    /// A connection got the session.
    pub(crate) fn bound(&mut self, session: &str, owner: u64) {
        self.ledger.bound.entry(session.to_owned()).or_default().0 = owner;
    }

    /// The log is gone, and everything in it.
    pub(crate) fn log_lost(&mut self) {
        self.ledger.logs_lost += 1;
    }

    /// The server's application starts to work on a send.
    pub(crate) fn processed(&mut self, session: &str, owner: u64, subject: &str, send: &Send) {
        let log = self.ledger.logs_lost;
        let bound = self.ledger.bound.entry(session.to_owned()).or_default();
        let (holder, last) = *bound;
        bound.1 = send.id;
        self.require(holder == owner, "only the session's owner takes sends", || {
            format!("id {} by connection {owner}, the session belongs to {holder}", send.id)
        });
        self.require(send.id > last, "processing keeps the order of ids", || format!("id {} after {last}", send.id));
        let Some(handle) = tag(send.payload.text().unwrap_or_default(), "send") else { return };
        let Some(offer) = self.offer(handle) else { return };
        offer.processed.push(log);
        let offer = offer.clone();
        let here = offer.processed.iter().filter(|processed| **processed == log).count();
        self.require(
            here == 1 && (offer.options.key.is_some() || offer.processed.len() == 1),
            "processed once",
            || format!("send {handle} with ids {:?}", offer.ids),
        );
        self.require_not_failed(handle, &offer);
        self.require(offer.subject.as_deref().is_none_or(|of| of == subject), "sent only for its subject", || {
            format!("send {handle} of {:?} was processed for {subject}", offer.subject)
        });
    }

    /// Refused and expired mean: not processed. Only a key that a log had and lost can tell otherwise.
    fn require_not_failed(&mut self, handle: u64, offer: &Offer) {
        let failed = matches!(offer.outcome, Some(Outcome::Refused(_) | Outcome::Expired));
        let excused = offer.options.key.is_some() && self.ledger.logs_lost > 0;
        self.require(!failed || excused || offer.processed.is_empty(), "refused or expired is never processed", || {
            format!("send {handle} is {:?}", offer.outcome)
        });
    }

    /// The application learned the outcome of a send.
    pub(crate) fn settled(&mut self, handle: u64, outcome: &Outcome) {
        let Some(offer) = self.offer(handle) else {
            return self.require(false, "an outcome belongs to a send", || handle.to_string());
        };
        let before = offer.outcome.replace(outcome.clone());
        let offer = offer.clone();
        self.require(before.is_none(), "one outcome each", || format!("send {handle}: {before:?}, {outcome:?}"));
        self.require_not_failed(handle, &offer);
        match outcome {
            Outcome::Acknowledged { id } => {
                self.saw(Sight::Acknowledged);
                self.require(offer.ids.contains(id), "an acknowledged id was written", || format!("send {handle}"));
                self.require(!offer.processed.is_empty(), "acknowledged means processed", || {
                    format!("send {handle} with id {id}")
                });
                if self.is_flying(*id) {
                    self.saw(Sight::AnswerBeforeAck);
                }
            }
            Outcome::Written { .. } => self.require(false, "only existing servers acknowledge nothing", String::new),
            Outcome::Expired => {
                self.saw(Sight::Expired);
                let age = offer.options.expire_after.map_or(self.queue_age, |age| age.min(self.queue_age));
                let lived = self.now.saturating_since(offer.made_at);
                self.require(lived >= age && lived <= age + LATE, "a send expires in its time", || {
                    format!("send {handle} after {lived:?}, not {age:?}")
                });
                self.require(offer.ids.is_empty(), "expired exists only before the first write", || {
                    format!("send {handle} was written with ids {:?}", offer.ids)
                });
            }
            Outcome::Refused(rejection) => match rejection.code.as_str() {
                "not_ready" => self.saw(Sight::NotReady),
                "queue_full" => self.saw(Sight::QueueFull),
                "too_large" => self.saw(Sight::TooLarge),
                "withdrawn" => self.saw(Sight::Withdrawn),
                "subject_changed" => self.saw(Sight::SubjectChanged),
                "closed" => {}
                _ => self.saw(Sight::Refused),
            },
            Outcome::Unknown { code } => {
                self.saw(Sight::Unknown);
                self.require(!offer.ids.is_empty(), "unknown only after the first write", || format!("send {handle}"));
                match *code {
                    "session_lost" => self.saw(Sight::SessionLost),
                    "three_connections" => self.saw(Sight::ThreeConnections),
                    "given_up" if offer.options.stream => self.saw(Sight::StreamGivenUp),
                    "given_up" => self.saw(Sight::GivenUp),
                    _ => {}
                }
            }
        }
    }

    /// A send was written, with this id.
    pub(crate) fn in_flight(&mut self, handle: u64, id: u64) {
        let Some(offer) = self.offer(handle) else { return };
        let again = offer.ids.len() > 1;
        let known = offer.ids.contains(&id);
        self.require(known, "in flight means written", || format!("send {handle}, id {id}"));
        if again {
            self.saw(Sight::Reoffered);
        }
    }

    /// The application learned of its session.
    pub(crate) fn session(&mut self, id: &str, resumed: bool) {
        self.saw(if resumed { Sight::Resumed } else { Sight::Ready });
        self.require(!resumed || self.ledger.session == id, "resumed is the same session", || id.to_owned());
        if !resumed {
            id.clone_into(&mut self.ledger.session);
            self.ledger.last_offset = 0;
            self.ledger.notes_seen = 0;
        }
    }

    /// The client has read a `ready` that belongs to this subject.
    pub(crate) fn ready_for(&mut self, subject: &str) {
        self.ledger.subject = Some(subject.to_owned());
    }

    pub(crate) fn offset(&mut self, offset: u64) {
        let last = std::mem::replace(&mut self.ledger.last_offset, offset);
        self.require(offset > last, "inbox messages come in order, none twice", || format!("{offset} after {last}"));
    }

    /// The server appended a message that answers nothing.
    pub(crate) fn note_appended(&mut self, session: &str, offset: u64, payload: &str) {
        self.ledger.notes.entry(session.to_owned()).or_default().push((offset, payload.to_owned()));
    }

    /// The application got a message that answers nothing.
    pub(crate) fn note(&mut self, offset: u64, payload: &str) {
        self.saw(Sight::NoteDelivered);
        self.offset(offset);
        let appended = self.ledger.notes.get(&self.ledger.session);
        let expected = appended.and_then(|notes| notes.get(self.ledger.notes_seen)).cloned();
        self.ledger.notes_seen += 1;
        let next = expected.as_ref().is_some_and(|(at, text)| *at == offset && text == payload);
        self.require(next, "no message of the inbox is missing", || format!("{payload}, expected {expected:?}"));
    }

    /// The application got a part of an answer.
    pub(crate) fn part(&mut self, part: &AnswerPart) {
        let handle = part.handle;
        if part.offset > 0 {
            self.offset(part.offset);
        }
        let Some(offer) = self.offer(handle) else {
            return self.require(false, "an answer belongs to a send", || handle.to_string());
        };
        let before = offer.clone();
        offer.parts += u64::from(!part.end);
        offer.ended |= part.end;
        self.require(before.options.answer, "answers come only when wanted", || format!("send {handle}"));
        self.require(!before.ended, "one end per answer, and nothing after it", || format!("send {handle}: {part:?}"));
        let alive = matches!(before.outcome, Some(Outcome::Acknowledged { .. }));
        self.require(alive, "to answer is to have taken", || format!("send {handle}: {part:?}"));
        let number = tag(part.payload.text().unwrap_or_default(), "part");
        if part.offset > 0 && part.error.is_none() {
            let kept =
                number == Some(before.parts) && tag(part.payload.text().unwrap_or_default(), "send") == Some(handle);
            self.require(kept, "the parts of an answer come in order", || format!("send {handle}: {part:?}"));
        }
        match part.error.as_ref().map(|error| error.code.as_str()) {
            Some("session_lost") => self.saw(Sight::AnswerLost),
            Some("cancelled") => {
                self.saw(Sight::CancelledInTime);
                self.require(before.cancelled, "stopped only on request", || format!("send {handle}"));
            }
            None if part.end => self.saw(Sight::AnswerEnded),
            _ => {}
        }
    }

    /// Whether an answer is still to come.
    pub(crate) fn awaits_answers(&self) -> bool {
        self.ledger.offers.iter().any(|offer| {
            let acknowledged = matches!(offer.outcome, Some(Outcome::Acknowledged { .. }));
            acknowledged && offer.options.answer && !offer.ended
        })
    }

    /// Whether this send was refused.
    pub(crate) fn was_refused(&self, handle: u64) -> bool {
        let offer = usize::try_from(handle).ok().and_then(|handle| self.ledger.offers.get(handle.checked_sub(1)?));
        offer.is_some_and(|offer| matches!(offer.outcome, Some(Outcome::Refused(_))))
    }

    /// Whether messages to the session are still to come.
    pub(crate) fn awaits_notes(&self) -> bool {
        let appended = self.ledger.notes.get(&self.ledger.session).map_or(0, Vec::len);
        appended > self.ledger.notes_seen
    }

    /// The page is gone, and what it waited for with it. Messages behind this offset come once more.
    pub(crate) fn offers_left(&mut self, inbox: u64, subject: Option<String>) {
        self.ledger.subject = subject;
        for offer in &mut self.ledger.offers {
            offer.outcome.get_or_insert(Outcome::Unknown { code: "gone" });
            offer.ended = true;
        }
        let notes = self.ledger.notes.get(&self.ledger.session);
        self.ledger.notes_seen = notes.map_or(0, |notes| notes.iter().filter(|(offset, _)| *offset <= inbox).count());
        self.ledger.last_offset = inbox;
    }

    /// Everything is over: what must hold of each send now.
    pub(crate) fn everything_settled(&mut self) {
        let offers = self.ledger.offers.clone();
        for (offer, handle) in offers.iter().zip(1_u64..) {
            self.require(offer.outcome.is_some(), "one outcome each", || format!("send {handle} has none"));
            self.require_not_failed(handle, offer);
            if matches!(offer.outcome, Some(Outcome::Acknowledged { .. })) && offer.options.answer {
                self.require(offer.ended, "each answer ends", || format!("send {handle}"));
            }
        }
    }
}
