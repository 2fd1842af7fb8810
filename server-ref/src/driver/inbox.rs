//! The inbox of the session: what of it is passed on to the client, and what the client holds.

use super::Driver;
use readywire_protocol::config::Window;

impl Driver {
    /// Passes on what waits in the inbox, as far as the client's window and the socket have room.
    pub(super) async fn deliver(&mut self) {
        while let Some(held) = &mut self.held
            && let Some(watches) = &held.watches
            && let (Some((after, room)), Some(most)) = (self.core.inbox_room(), self.wire.room())
        {
            held.delivered = after;
            if watches.inbox.borrow().offset <= after {
                return;
            }
            let room = Window { bytes: room.bytes.min(most), ..room };
            let messages = match held.session.read(after, room).await {
                Ok(messages) => messages,
                Err(error) => return self.log_failed(&error),
            };
            if messages.is_empty() {
                return;
            }
            let mut questions = Vec::new();
            for (message, at) in messages {
                // The core may put one off until there is room for it: then it comes again.
                let again = held.untaken.back().is_some_and(|(offset, _)| *offset >= message.offset);
                if at >= held.since && !again {
                    held.untaken.push_back((message.offset, at));
                }
                let question = message.asks.then_some(message.offset);
                self.core.deliver(message);
                questions.extend(question);
            }
            for offset in questions {
                self.delivered_question(offset).await;
            }
            self.wire.take(&mut self.core, &self.hub);
        }
    }

    /// Tells the log what the client holds, and what nothing else went along with; `false` if that failed.
    pub(super) async fn written(&mut self, taken: Option<u64>) -> bool {
        let Some(held) = &mut self.held else { return true };
        let mut done = held.session.flush().await;
        if let (Some(offset), Ok(())) = (taken, &done) {
            while let Some((_, at)) = held.untaken.front().filter(|(delivered, _)| *delivered <= offset) {
                self.hub.metrics.delivered(at.elapsed());
                held.untaken.pop_front();
            }
            done = held.session.taken(offset).await;
        }
        if let Err(error) = &done {
            self.log_failed(error);
            self.let_go().await;
        }
        done.is_ok()
    }
}
