//! What is seen on one connection's wire, judged without asking the cores.

use readywire_protocol::config::Window;
use readywire_protocol::frame::{ClientFrame, Hello, HistoryRequest, Limits, ServerFrame};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

const ACK_WITHIN: Duration = Duration::from_millis(100);

/// A property, and how it was violated.
pub(crate) type Verdict = Result<(), (&'static str, String)>;

fn require(kept: bool, property: &'static str, found: impl FnOnce() -> String) -> Verdict {
    if kept { Ok(()) } else { Err((property, found())) }
}

/// One connection, as somebody would see it who reads both directions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wire {
    stage: Option<Stage>,
    pending: Vec<String>,
    hellos: u32,
    window: Window,
    resume_inbox: u64,
    ready_written: bool,
    /// The client has read `ready`, with these limits and this session.
    pub(crate) ready_read: Option<(Limits, String)>,
    /// Sends that the client wrote and that it has read no decision of: ids and bytes.
    flight: VecDeque<(u64, u64)>,
    first_id: Option<u64>,
    last_id: u64,
    last_request: u64,
    /// The highest id that the server has read here.
    read_id: u64,
    acked: u64,
    /// Decisions that no ack covers yet.
    decided: Vec<(u64, Instant)>,
    /// Refusals that the server decided and has not written.
    owed: Vec<u64>,
    delivered: u64,
    /// Messages that the server wrote, and has read no `taken` of: offsets and bytes.
    untaken: VecDeque<(u64, u64)>,
    /// The last offset that the client has read.
    held: u64,
    /// The highest of each topic that it has read here.
    topics: BTreeMap<String, u64>,
    /// As `untaken`, for each topic.
    published: BTreeMap<String, VecDeque<(u64, u64)>>,
}

impl Wire {
    pub(crate) fn client_wrote(&mut self, text: &str, frame: &ClientFrame) -> Verdict {
        match frame {
            ClientFrame::Hello(_) => {
                self.hellos += 1;
                require(self.hellos == 1, "one hello per connection", || text.to_owned())
            }
            ClientFrame::Ping { .. } | ClientFrame::Pong { .. } | ClientFrame::Bye(_) => Ok(()),
            other => {
                if let ClientFrame::Subscribe { .. } | ClientFrame::Unsubscribe { .. } = other
                    && self.hellos <= 1
                {
                    return Ok(());
                }
                let Some((limits, _)) = &self.ready_read else {
                    return Err(("no application frame before ready (client)", text.to_owned()));
                };
                match other {
                    ClientFrame::History(HistoryRequest { request, .. }) => {
                        let last = std::mem::replace(&mut self.last_request, *request);
                        require(*request > last, "requests for pages strictly increase", || text.to_owned())
                    }
                    ClientFrame::Send(send) => {
                        require(send.id > self.last_id, "ids strictly increase", || text.to_owned())?;
                        self.last_id = send.id;
                        self.first_id.get_or_insert(send.id);
                        let bytes = send.payload.size();
                        let room = (self.flight.len() as u64) < limits.max_in_flight;
                        let sum: u64 = self.flight.iter().map(|(_, bytes)| bytes).sum();
                        let fits = self.flight.is_empty() || sum + bytes <= limits.max_in_flight_bytes;
                        require(room && fits, "no more in flight than `limits` allow", || text.to_owned())?;
                        let small = text.len() as u64 <= limits.max_message_bytes;
                        require(small, "no message over `max_message_bytes`", || text.to_owned())?;
                        self.flight.push_back((send.id, bytes));
                        Ok(())
                    }
                    ClientFrame::Taken { offset, topic: Some(topic) } => {
                        let held = self.topics.get(topic).copied().unwrap_or_default();
                        require(*offset <= held, "`taken` covers only what was delivered", || text.to_owned())
                    }
                    ClientFrame::Taken { offset, topic: None } => {
                        require(*offset <= self.held, "`taken` covers only what was delivered", || text.to_owned())
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    pub(crate) fn server_read(&mut self, frame: &ClientFrame) {
        match frame {
            ClientFrame::Send(send) => self.read_id = self.read_id.max(send.id),
            ClientFrame::Taken { offset, topic: None } => self.untaken.retain(|(untaken, _)| untaken > offset),
            ClientFrame::Taken { offset, topic: Some(topic) } => {
                self.published.entry(topic.clone()).or_default().retain(|(untaken, _)| untaken > offset);
            }
            _ => {}
        }
    }

    /// The server has read the hello, from wherever it came.
    pub(crate) fn hello(&mut self, hello: &Hello) {
        self.window = hello.window.unwrap_or_default();
        self.resume_inbox = hello.resume.as_ref().map_or(0, |resume| resume.inbox);
        self.held = self.resume_inbox;
    }

    /// The server has decided this send.
    pub(crate) fn decided(&mut self, now: Instant, id: u64) {
        self.decided.push((id, now));
    }

    /// The server has decided not to take this send.
    pub(crate) fn refused(&mut self, id: u64) {
        self.owed.push(id);
    }

    pub(crate) fn server_wrote(&mut self, now: Instant, text: &str, frame: &ServerFrame) -> Verdict {
        match frame {
            ServerFrame::Stage(news) => {
                use Stage::{Accepted, Authenticated, Degraded, ProcessingReady, ServicesReady};
                let legal = match (self.stage, news.stage) {
                    (None, Accepted) => news.connection.is_some(),
                    (Some(Accepted), Authenticated) | (Some(Authenticated), ServicesReady) => true,
                    (Some(Authenticated), Authenticated) => news.pending != self.pending,
                    (Some(ProcessingReady | Degraded), Degraded) => !news.impaired.is_empty(),
                    (Some(Degraded), ProcessingReady) => news.impaired.is_empty(),
                    _ => false,
                };
                self.stage = Some(news.stage);
                self.pending.clone_from(&news.pending);
                require(legal, "stages one at a time, in order", || text.to_owned())
            }
            ServerFrame::Ready(ready) => {
                let legal = self.stage == Some(Stage::ServicesReady) && !self.ready_written;
                self.ready_written = true;
                self.stage = Some(if ready.impaired.is_empty() { Stage::ProcessingReady } else { Stage::Degraded });
                let resumed = ready.session.as_ref().is_some_and(|session| session.resumed);
                self.delivered = if resumed { self.resume_inbox } else { 0 };
                require(legal, "`ready` once, after SERVICES_READY", || text.to_owned())
            }
            ServerFrame::Ping { .. } | ServerFrame::Pong { .. } | ServerFrame::Bye(_) => Ok(()),
            _ if !self.ready_written => Err(("no application frame before ready (server)", text.to_owned())),
            ServerFrame::Nack(refusal) => {
                self.owed.retain(|id| *id != refusal.id);
                require(refusal.id > self.acked, "a nack goes out before any ack that covers it", || text.to_owned())
            }
            ServerFrame::Ack { id } => {
                let legal = *id > self.acked && *id <= self.read_id;
                require(legal, "an ack covers what came, and goes forward", || text.to_owned())?;
                self.acked = *id;
                let early = self.owed.iter().any(|owed| owed <= id);
                require(!early, "a nack goes out before any ack that covers it", || text.to_owned())?;
                let covered = self.decided.iter().filter(|(decided, _)| decided <= id);
                let longest = covered.map(|(_, at)| now.saturating_since(*at)).max().unwrap_or_default();
                self.decided.retain(|(decided, _)| decided > id);
                require(longest <= ACK_WITHIN, "an ack comes within 100 ms", || format!("{longest:?}: {text}"))
            }
            ServerFrame::Subscribed { topic, .. } => {
                self.published.remove(topic);
                Ok(())
            }
            ServerFrame::Publication { topic, offset, request: None, payload, .. } => {
                let untaken = self.published.entry(topic.clone()).or_default();
                let last = untaken.back().map_or(0, |(offset, _)| *offset);
                untaken.push_back((*offset, payload.size()));
                let sum: u64 = untaken.iter().map(|(_, bytes)| bytes).sum();
                let count = untaken.len() as u64;
                let kept = count <= self.window.messages && (sum <= self.window.bytes || count == 1);
                require(*offset > last && kept, "no more of a topic than the window is sent and not yet taken", || {
                    format!("{count} messages, {sum} bytes of {:?}: {text}", self.window)
                })
            }
            ServerFrame::Message(message) => {
                let next = message.offset == self.delivered + 1;
                self.delivered = message.offset;
                require(next, "offsets without gap or double", || text.to_owned())?;
                let bytes = message.payload.size();
                self.untaken.push_back((message.offset, bytes));
                let sum: u64 = self.untaken.iter().map(|(_, bytes)| bytes).sum();
                let kept = self.untaken.len() as u64 <= self.window.messages
                    && (sum <= self.window.bytes || self.untaken.len() == 1);
                require(kept, "no more than the window is sent and not yet taken", || {
                    format!("{} messages, {sum} bytes of {:?}: {text}", self.untaken.len(), self.window)
                })
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn client_read(&mut self, frame: &ServerFrame) {
        match frame {
            ServerFrame::Ready(ready) => {
                let session = ready.session.as_ref();
                if !session.is_some_and(|session| session.resumed) {
                    self.held = 0;
                }
                self.ready_read = Some((ready.limits, session.map_or_else(String::new, |session| session.id.clone())));
            }
            ServerFrame::Ack { id } => self.flight.retain(|(flying, _)| flying > id),
            ServerFrame::Nack(refusal) => self.flight.retain(|(flying, _)| *flying != refusal.id),
            ServerFrame::Message(message) => self.held = self.held.max(message.offset),
            ServerFrame::Publication { topic, offset, request: None, .. } => {
                let held = self.topics.entry(topic.clone()).or_default();
                *held = (*held).max(*offset);
            }
            _ => {}
        }
    }

    /// Whether the client has written a send here.
    pub(crate) fn has_sends(&self) -> bool {
        self.last_id > 0
    }

    /// The first send that the client wrote here, and its session.
    pub(crate) fn oldest(&self) -> Option<(String, u64)> {
        let (_, session) = self.ready_read.as_ref()?;
        Some((session.clone(), self.first_id?))
    }

    /// Whether the client waits for decisions.
    pub(crate) fn has_flight(&self) -> bool {
        !self.flight.is_empty()
    }

    /// Whether the client waits for a decision on this id.
    pub(crate) fn is_flying(&self, id: u64) -> bool {
        self.flight.iter().any(|(flying, _)| *flying == id)
    }

    /// Whether the server's limits keep the client from writing more.
    pub(crate) fn is_full(&self) -> bool {
        self.ready_read.as_ref().is_some_and(|(limits, _)| self.flight.len() as u64 >= limits.max_in_flight)
    }
}
