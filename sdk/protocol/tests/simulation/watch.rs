//! Watches both ends: keeps the trace, and the first property that did not hold.

use crate::asked::Asked;
use crate::coverage::{Coverage, Sight};
use crate::ledger::Ledger;
use crate::plan::Plan;
use crate::questions::REPLIES;
use crate::streams::{PARTS, Streamed};
use crate::topics::Followed;
use crate::wire::{Verdict, Wire};
use readywire_protocol::client::{ClientEvent, ClientState, Command, End, Outcome};
use readywire_protocol::close::Class;
use readywire_protocol::frame::{ClientFrame, Hello, ServerFrame};
use readywire_protocol::time::{Duration, Instant};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

/// The most attempts to connect within a second and within ten, beyond those that the application asked for.
const ATTEMPTS: [(Duration, usize); 2] = [(Duration::from_secs(1), 6), (Duration::from_secs(10), 13)];

/// How late timers come at most.
pub(crate) const LATE: Duration = Duration::from_millis(40);

/// A property that did not hold.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    pub(crate) property: String,
    pub(crate) found: String,
}

/// What happened, line by line; outlives the world, should that panic.
pub(crate) type Trace = Rc<RefCell<Vec<String>>>;

/// Sees everything, changes nothing.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    pub(crate) coverage: Coverage,
    pub(crate) ledger: Ledger,
    pub(crate) failure: Option<Failure>,
    pub(crate) now: Instant,
    trace: Option<Trace>,
    wires: Vec<Wire>,
    attempts: VecDeque<Instant>,
    pub(crate) asked: u64,
    pub(crate) refreshes_asked: u64,
    pub(crate) followed: Followed,
    pub(crate) streamed: Streamed,
    pub(crate) questioned: Asked,
    /// The number of the connection that the client says it is on.
    pub(crate) current: u64,
    /// A handover is under way, and so many attempts were made for it.
    handover: Option<u64>,
    /// The last upgrade that was tried brought no ACCEPTED.
    upgrade_failed: bool,
    /// The server asked to wait until then.
    not_before: Option<Instant>,
    /// The client reported its end.
    pub(crate) end: Option<End>,
    closing: Option<Instant>,
    repeats: bool,
    hello_in_upgrade: bool,
    pub(crate) queue_age: Duration,
}

impl Watch {
    pub(crate) fn new(trace: Option<Trace>, plan: &Plan) -> Self {
        Self {
            coverage: Coverage::new(),
            ledger: Ledger::default(),
            failure: None,
            now: Instant::default(),
            trace,
            wires: Vec::new(),
            attempts: VecDeque::new(),
            asked: 0,
            refreshes_asked: 0,
            followed: Followed::default(),
            streamed: Streamed::default(),
            questioned: Asked::default(),
            current: 0,
            handover: None,
            upgrade_failed: false,
            not_before: None,
            end: None,
            closing: None,
            repeats: plan.dial_repeats > 0,
            hello_in_upgrade: plan.client.hello_in_upgrade,
            queue_age: plan.client.queue_age,
        }
    }

    pub(crate) fn saw(&mut self, sight: Sight) {
        self.coverage.saw(sight);
    }

    pub(crate) fn at(&mut self, now: Instant) {
        self.now = now;
        let late = self.closing.is_some_and(|at| at < now) && self.end.is_none();
        let closing = self.closing;
        self.require(!late, "closing takes no longer than it was given", || format!("{closing:?}"));
    }

    /// A line of the trace; made only if somebody will read it.
    pub(crate) fn note_line(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &self.trace {
            trace.borrow_mut().push(format!("{:>9.3} {}", self.now.since_origin().as_secs_f64(), line()));
        }
    }

    pub(crate) fn require(&mut self, kept: bool, property: &str, found: impl FnOnce() -> String) {
        if !kept && self.failure.is_none() {
            self.failure = Some(Failure { property: property.to_owned(), found: found() });
        }
    }

    fn judge(&mut self, link: usize, verdict: Verdict) {
        if let Err((property, found)) = verdict {
            self.require(false, property, || format!("link {link}: {found}"));
        }
    }

    fn wire(&mut self, link: usize) -> &mut Wire {
        if self.wires.len() <= link {
            self.wires.resize_with(link + 1, Wire::default);
        }
        &mut self.wires[link]
    }

    /// Whether the client waits for a decision on this id, on its latest connections.
    pub(crate) fn is_flying(&self, id: u64) -> bool {
        self.wires.iter().rev().take(2).any(|wire| wire.is_flying(id))
    }

    /// A command of the client.
    pub(crate) fn command(&mut self, command: &Command) {
        self.note_line(|| format!("client  {command:?}"));
        match command {
            Command::AskToken { number } => {
                self.require(*number > self.asked, "numbers of attempts increase", || number.to_string());
                self.asked = *number;
                if let Some(attempts) = &mut self.handover {
                    *attempts += 1;
                    if *attempts > 1 {
                        self.saw(Sight::NextFailed);
                    }
                }
                self.attempted();
            }
            Command::AskFreshToken { number } => {
                self.require(*number > self.refreshes_asked, "numbers of refreshes increase", || number.to_string());
                self.refreshes_asked = *number;
            }
            Command::Dial { number, protocols, .. } => {
                self.coverage.connections += 1;
                self.require(*number == self.asked, "the token provider is asked at every attempt", || {
                    number.to_string()
                });
                let first = protocols.first().map(String::as_str);
                self.require(
                    first == Some(readywire_protocol::SUBPROTOCOL),
                    "the hello is never the first entry",
                    || format!("{protocols:?}"),
                );
                let failed = std::mem::replace(&mut self.upgrade_failed, true);
                let hellos = protocols.len() - 1;
                self.require(hellos <= usize::from(!failed), "the hello rides only where upgrades work", || {
                    format!("{protocols:?}")
                });
                let rides = usize::from(!failed && self.hello_in_upgrade);
                self.require(hellos == rides, "a warm server needs no extra round trip", || format!("{protocols:?}"));
            }
            _ => {}
        }
    }

    fn attempted(&mut self) {
        let (now, not_before) = (self.now, self.not_before.take());
        self.require(not_before.is_none_or(|at| now >= at), "`retry_after_ms` outranks the backoff", || {
            format!("not before {not_before:?}")
        });
        self.attempts.push_back(self.now);
        if self.attempts.len() > 40 {
            self.attempts.pop_front();
        }
        for (span, most) in ATTEMPTS {
            let count = self.attempts.iter().filter(|at| self.now.saturating_since(**at) < span).count();
            self.require(count <= most, "reconnects are bounded", || format!("{count} attempts within {span:?}"));
        }
    }

    /// The application asks for an attempt at once.
    pub(crate) fn woken(&mut self) {
        self.attempts.clear();
        self.not_before = None;
    }

    /// Whether the application has ended the session, or somebody did.
    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some() || self.end.is_some()
    }

    /// The page is gone: the next begins as if there had been none.
    pub(crate) fn forget_page_before(&mut self) {
        self.handover = None;
        self.upgrade_failed = false;
    }

    /// The application ends the session.
    pub(crate) fn closing(&mut self, deadline: Duration, unsettled: usize) {
        let at = self.now + deadline + LATE;
        self.closing = Some(self.closing.map_or(at, |earlier| earlier.min(at)));
        if unsettled > 0 {
            self.saw(Sight::ClosedUndecided);
        }
    }

    pub(crate) fn client_wrote(&mut self, link: usize, text: &str) {
        let Ok(frame) = ClientFrame::decode(text) else {
            return self.require(false, "the client writes what can be read", || text.to_owned());
        };
        let oldest = !self.wire(link).has_sends();
        let verdict = self.wire(link).client_wrote(text, &frame);
        self.judge(link, verdict);
        match frame {
            ClientFrame::Send(send) => {
                let session = self.wire(link).ready_read.as_ref().map(|(_, session)| session.clone());
                let session = session.unwrap_or_default();
                self.answer_written(&session, &send);
                self.send_written(&session, &send, oldest);
            }
            ClientFrame::Auth(auth) => self.refreshes(&auth.token),
            ClientFrame::Bye(bye) => {
                let blames = (4400..4500).contains(&bye.code);
                self.require(!blames, "correct ends break no clause", || format!("client: {bye:?}"));
            }
            _ => {}
        }
    }

    /// The client leaves a connection for another that is ready.
    pub(crate) fn left(&mut self, link: usize) {
        self.saw(Sight::HandedOver);
        if self.wire(link).has_flight() {
            self.saw(Sight::HandedOverInFlight);
        }
        self.fenced(link);
    }

    /// A connection ends since the client left it, or fenced it by an attempt of its own: it counts for nothing against what
    /// was written on it (clause `drain.transfer`).
    pub(crate) fn fenced(&mut self, link: usize) {
        if let Some((session, id)) = self.wire(link).oldest() {
            self.excused(&session, id);
        }
    }

    pub(crate) fn server_read(&mut self, link: usize, text: &str) {
        self.note_line(|| format!("  link {link} to server: {text}"));
        if let Ok(frame) = ClientFrame::decode(text) {
            self.wire(link).server_read(&frame);
        }
    }

    pub(crate) fn hello(&mut self, link: usize, hello: &Hello) {
        self.wire(link).hello(hello);
    }

    pub(crate) fn refused(&mut self, link: usize, id: u64) {
        self.wire(link).refused(id);
    }

    pub(crate) fn decided(&mut self, link: usize, id: u64) {
        let now = self.now;
        self.wire(link).decided(now, id);
    }

    pub(crate) fn server_wrote(&mut self, link: usize, text: &str) {
        let Ok(frame) = ServerFrame::decode(text) else {
            return self.require(false, "the server writes what can be read", || text.to_owned());
        };
        let now = self.now;
        let verdict = self.wire(link).server_wrote(now, text, &frame);
        self.judge(link, verdict);
        if let ServerFrame::Bye(bye) = frame {
            let blames = (4400..4500).contains(&bye.code) || bye.class == Some(Class::Violation);
            self.require(!blames, "correct ends break no clause", || format!("server: {bye:?}"));
        }
    }

    pub(crate) fn client_read(&mut self, link: usize, number: u64, text: &str) {
        self.note_line(|| format!("  link {link} to client: {text}"));
        if let Ok(frame) = ServerFrame::decode(text) {
            // The old connection tells nothing of the upgrade of the next.
            self.upgrade_failed &= number != self.asked;
            self.wire(link).client_read(&frame);
            match frame {
                ServerFrame::Ready(ready) => {
                    if let Some(session) = ready.session {
                        self.ready_for(&session.subject);
                    }
                }
                ServerFrame::Bye(bye) => {
                    let wait = bye.retry_after_ms.map(Duration::from_millis);
                    self.not_before = wait.map(|wait| self.now + wait);
                }
                ServerFrame::Cancel { re } if number == self.current => {
                    let session = self.wire(link).ready_read.as_ref().map(|(_, session)| session.clone());
                    self.cancel_read(&session.unwrap_or_default(), re);
                }
                _ => {}
            }
        }
    }

    /// The client's state and what it has to do with the wire, after each step.
    pub(crate) fn client_state(&mut self, link: Option<usize>, state: ClientState, unsettled: usize) {
        let ready = link.is_some_and(|link| self.wire(link).ready_read.is_some());
        self.require(ready || !state.is_ready(), "ready means that `ready` came on this connection", || {
            format!("{state:?} on link {link:?}")
        });
        if state == ClientState::Degraded {
            self.saw(Sight::Degraded);
        }
        self.no_orphans();
        if let Some(link) = link
            && self.wire(link).is_full()
            && unsettled > 1
        {
            self.saw(Sight::WindowFull);
        }
    }

    /// An event for the application.
    pub(crate) fn event(&mut self, event: &ClientEvent) {
        self.note_line(|| format!("client  {event:?}"));
        let over = self.end.is_some();
        match event {
            ClientEvent::Held { .. } | ClientEvent::Carried(_) | ClientEvent::Queued { .. } => {}
            ClientEvent::Question { question, offset, payload, .. } => {
                self.question_came(*question, *offset, payload.text().unwrap_or_default());
            }
            ClientEvent::Withdrawn { question } => self.question_withdrawn(*question),
            ClientEvent::Settled { handle, outcome } if *handle >= REPLIES => {
                return self.reply_settled(*handle, outcome);
            }
            ClientEvent::StreamOver { handle } => return self.stream_over(*handle),
            ClientEvent::Settled { handle, outcome } if *handle >= PARTS => {
                return self.part_settled(*handle, outcome);
            }
            ClientEvent::State(change) => {
                self.current = change.attempt;
                let pause = change.handover && !change.state.is_ready();
                self.require(!pause, "a handover is no pause", || format!("{change:?}"));
                let before = std::mem::replace(&mut self.handover, change.handover.then_some(0));
                if before.is_some() && !change.state.is_ready() && change.state != ClientState::Closed {
                    self.saw(Sight::OldEndedFirst);
                }
            }
            ClientEvent::Session { id, resumed } => {
                if !resumed {
                    self.questions_orphaned();
                }
                self.session(id, *resumed);
            }
            ClientEvent::InFlight { handle, id } => self.in_flight(*handle, *id),
            ClientEvent::Settled { handle, outcome } => {
                let refused = matches!(outcome, Outcome::Refused(_));
                self.require(!over || refused, "after the end only refusals", || format!("{event:?}"));
                return self.settled(*handle, outcome);
            }
            ClientEvent::Message { offset, event, payload } if self.question_replaced(*offset) => {
                let empty = event.is_empty() && payload.text() == Some("null");
                self.require(empty, "nobody takes a question for a message", || format!("{event} {payload:?}"));
            }
            ClientEvent::Message { offset, payload, .. } => self.note(*offset, payload.text().unwrap_or_default()),
            ClientEvent::Text(_) => self.require(false, "only existing servers send bare text", String::new),
            ClientEvent::Answer(part) => self.part(part),
            ClientEvent::Subscribed { handle, offset, head, epoch, recovered } => {
                self.subscribed(*handle, *offset, *head, epoch, *recovered);
            }
            ClientEvent::Publication { handle, offset, payload, .. } => {
                self.publication(*handle, *offset, payload.text().unwrap_or_default());
            }
            // Who subscribes behind the end is told so, too.
            ClientEvent::Unsubscribed { handle, .. } => return self.unsubscribed(*handle),
            ClientEvent::Page(page) => self.paged(page),
            ClientEvent::PageRefused { handle, code, .. } => return self.no_page(*handle, code),
            ClientEvent::Closed(end) => {
                self.questions_orphaned();
                if self.closing.is_none() {
                    self.saw(Sight::StoppedEarly);
                    let must = matches!(end.code, 4101..=4104) || (end.code == 4013 && self.repeats);
                    self.require(must, "the client stops only when it must", || format!("{end:?}"));
                }
                self.end = Some(end.clone());
            }
        }
        self.require(!over, "nothing after the end", || format!("{event:?}"));
    }
}
