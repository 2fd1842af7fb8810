//! Attempts to connect: the token, the hello, the upgrade.

use super::*;

impl Client {
    /// Begins the next attempt in the place of the one with this number.
    pub(super) fn retry(&mut self, now: Instant, number: u64) {
        let attempt = self.ask(now);
        if let Some(place) = self.attempt(number) {
            *place = attempt;
        }
    }

    /// A new attempt, which begins with the question for a token (clause `token.each_attempt`).
    pub(super) fn ask(&mut self, now: Instant) -> Attempt {
        self.number += 1;
        self.commands.push(Command::AskToken { number: self.number });
        Attempt::new(self.number, Phase::AskingToken { deadline: now + self.config.connect_timeout })
    }

    /// The hello of this attempt.
    pub(super) fn hello(&mut self, number: u64) -> String {
        let resume = self.session.as_ref().map(|session| Resume {
            session: session.id.clone(),
            token: session.token.clone(),
            attempt: session.attempt,
            settled: self.outbox.settled(),
            inbox: self.inbox.held,
        });
        let held = self.inbox.held;
        let mut auth = None;
        if let Some(attempt) = self.attempt(number) {
            attempt.inbox = Some(held);
            auth = attempt.token.clone();
        }
        let hello = Hello {
            client: Some(self.config.agent.clone()),
            auth,
            capabilities: capability::levels(),
            window: Some(self.config.window),
            resume,
        };
        ClientFrame::Hello(Box::new(hello)).encode()
    }

    pub(super) fn dial(&mut self, now: Instant, number: u64) {
        if let Some(session) = &mut self.session {
            session.attempt += 1;
        }
        self.superseded = self.current.number != number;
        let mut protocols = vec![SUBPROTOCOL.to_owned()];
        // After an upgrade that failed before ACCEPTED, something in between may dislike long headers (clause
        // `upgrade.fallback`).
        let mut rides = self.config.hello_in_upgrade && self.upgrade_works;
        if rides {
            let entry = joined(&[HELLO_PREFIX, &base64url::encode(self.hello(number).as_bytes())]);
            rides = entry.len() <= HELLO_ENTRY_BYTES;
            if rides {
                protocols.push(entry);
            }
        }
        let deadline = now + self.config.connect_timeout;
        let address = self.alternate.take();
        if let Some(attempt) = self.attempt(number) {
            attempt.hello_rides = rides;
            attempt.phase = Phase::Dialling { deadline };
        }
        self.commands.push(Command::Dial { number, protocols, address });
    }
}
