//! The inbox: what is delivered, as far as the client's window has room, and what the client holds.

use super::*;

impl ServerConnection {
    /// After which offset the client's window has room, for how many messages and bytes; `None` if it has none.
    pub fn inbox_room(&self) -> Option<(u64, Window)> {
        if !self.agreed(RESUME) || self.stalled {
            return None;
        }
        let room = self.room(self.delivered.len(), self.delivered_bytes)?;
        self.stage.is_ready().then_some((self.last_delivered, room))
    }

    /// Writes the next message of the inbox, unless it has to wait for room in the client's window; any other offset is
    /// ignored.
    pub fn deliver(&mut self, mut message: Message) {
        if !self.stage.is_ready() || message.offset != self.last_delivered + 1 {
            return;
        }
        if message.asks && !self.agreed(QUESTIONS) {
            // It keeps its place, and nobody takes it for a message like others (clause `question.asks`).
            (message.asks, message.event, message.payload) = (false, String::new(), Payload::null());
            message.error.get_or_insert_with(|| AnswerError {
                code: "unsupported".to_owned(),
                message: "a question, which this client does not answer".to_owned(),
            });
        }
        if message.payload.bytes().is_some() && !self.agreed(BINARY) {
            // It keeps its place, and nobody takes it for what it was (clause `binary.replaced`).
            message.payload = Payload::null();
            message.error.get_or_insert_with(|| AnswerError {
                code: "unsupported".to_owned(),
                message: "the payload is bytes, which this client does not take".to_owned(),
            });
        }
        let bytes = message.payload.size();
        // One message always passes an empty window, however large, or it could never pass.
        if !self.delivered.is_empty() && self.delivered_bytes + bytes > self.window.bytes {
            self.stalled = true;
            return;
        }
        self.last_delivered = message.offset;
        self.delivered.push_back((message.offset, bytes));
        self.delivered_bytes += bytes;
        self.write(&ServerFrame::Message(message));
    }

    /// Whether the client answers questions; known from `ready` on.
    pub fn answers_questions(&self) -> bool {
        self.agreed(QUESTIONS)
    }

    /// Nobody waits for an answer to this question any more: says so, if the client has it (clause `question.withdrawn`).
    pub fn withdraw(&mut self, offset: u64) {
        if self.stage.is_ready() && self.agreed(QUESTIONS) && offset <= self.last_delivered {
            self.write(&ServerFrame::Cancel { re: offset });
        }
    }

    /// How many messages were delivered and are not taken.
    pub fn untaken_count(&self) -> usize {
        self.delivered.len()
    }

    /// The first message that was delivered and not taken, also after the end: [`Sessions::blame`] wants to know.
    ///
    /// [`Sessions::blame`]: crate::server::Sessions::blame
    pub fn untaken(&self) -> Option<u64> {
        self.delivered.front().map(|(offset, _)| *offset)
    }

    /// What is left of a window in which so much is not taken.
    pub(super) fn room(&self, messages: usize, bytes: u64) -> Option<Window> {
        let left = self.window.messages.checked_sub(messages as u64).filter(|room| *room > 0);
        // One message always passes an empty window, however large, or it could never pass.
        if messages == 0 {
            return Some(Window { messages: left.unwrap_or(1), bytes: self.window.bytes.max(1) });
        }
        let bytes = self.window.bytes.checked_sub(bytes).filter(|room| *room > 0)?;
        Some(Window { messages: left?, bytes })
    }

    pub(super) fn taken(&mut self, _now: Instant, offset: u64) -> Result<(), PeerMisbehaved> {
        if offset > self.last_delivered {
            return Err(PeerMisbehaved::new(Clause::InboxTaken, "`taken` above what was delivered"));
        }
        while self.delivered.front().is_some_and(|(delivered, _)| *delivered <= offset) {
            self.delivered_bytes -= self.delivered.pop_front().map_or(0, |(_, bytes)| bytes);
            self.stalled = false;
        }
        self.events.push_back(ServerEvent::Taken { offset });
        Ok(())
    }
}
