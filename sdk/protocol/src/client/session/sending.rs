//! What the application gives to be sent, and what it takes back.

use super::*;

/// The longest key, in bytes (clause `send.key`).
const MAX_KEY_BYTES: usize = 64;

impl Client {
    /// Gives a message to the client. Its one outcome comes as [`ClientEvent::Settled`] under `handle`, which the
    /// caller chooses and never uses twice.
    pub fn send(&mut self, now: Instant, handle: u64, event: &str, payload: Payload, options: SendOptions) {
        let bytes = payload.size();
        let age = options.expire_after.map_or(self.config.queue_age, |age| age.min(self.config.queue_age));
        let refusal = if self.current.phase == Phase::Ended || self.closing.is_some() {
            Some(Rejection::local("closed", "the client is closed", false))
        } else if options.fail_fast && !self.state().is_ready() {
            let message = joined(&["the server is not ready: ", self.state().name()]);
            Some(Rejection::local("not_ready", &message, true))
        } else if options.key.as_ref().is_some_and(|key| key.len() > MAX_KEY_BYTES) {
            Some(Rejection::local("key_too_long", "a key has 64 bytes at most", false))
        } else if (!capability::TOPICS && options.topic.is_some()) || (!capability::STREAMS && options.stream) {
            Some(Rejection::local("unsupported", "this client was built without it", false))
        } else if options.topic.as_ref().is_some_and(|topic| !topics::is_name(topic)) {
            Some(Rejection::local("invalid_topic", "the name of a topic has 1 to 256 bytes", false))
        } else if !self.outbox.has_room(self.config.queue, bytes) {
            Some(Rejection::local("queue_full", "too much is waiting to be sent", true))
        } else {
            None
        };
        if let Some(refusal) = refusal {
            self.events.push(ClientEvent::Settled { handle, outcome: Outcome::Refused(refusal) });
            return;
        }
        // Only the end of its answer tells when a stream is over.
        let opens = capability::STREAMS && options.stream;
        let answer = options.answer || opens;
        if answer {
            self.answers.push(OpenAnswer { handle, id: 0, cancelled: false });
        }
        let mut in_stream = InStream::No;
        if opens {
            in_stream = InStream::Opens;
            self.streams.begin(handle);
        }
        let mut entry = Entry::new(handle, event, payload, in_stream, now + age);
        entry.answer = answer;
        entry.fail_fast = options.fail_fast;
        entry.key = options.key;
        entry.topic = options.topic;
        self.outbox.waiting.push(entry);
        self.flush(now);
        self.carry();
    }

    /// Stops an answer or a subscription, or gives a page up. An answer that was not asked for yet is withdrawn; one that was
    /// ends with the server's own `end`. A subscription ends at once, and so does the wait for a page.
    pub fn cancel(&mut self, now: Instant, handle: u64) {
        if TOPICS && (self.unsubscribe(handle) || self.forget_page(handle, "", false)) {
            return;
        }
        if self.outbox.waiting.iter().any(|entry| entry.handle == handle) {
            self.abandon(now, handle);
            return;
        }
        self.stop_answer(handle);
        self.tend_streams();
    }

    /// Gives a send up: withdrawn if it was never written, unknown if it was (clause `send.one_outcome`). Its answer is
    /// stopped, and nothing of that is told.
    pub fn abandon(&mut self, now: Instant, handle: u64) {
        if let Some(index) = self.outbox.waiting.iter().position(|entry| entry.handle == handle) {
            let refusal = Rejection::local("withdrawn", "withdrawn before it was written", false);
            if let Some(entry) = outbox::take(&mut self.outbox.waiting, index) {
                self.settle_unwritten(&entry, "given_up", Outcome::Refused(refusal));
            }
        } else if let Some(entry) = self.outbox.give_up(handle).or_else(|| self.give_up_former(handle)) {
            self.give_answer_up(&entry);
            self.settle(&entry, Outcome::Unknown { code: "given_up" });
        }
        self.flush(now);
        self.finish_closing(now);
        self.announce();
    }
}
