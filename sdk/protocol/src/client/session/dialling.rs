//! Attempts to connect: the token, the hello, the upgrade.

use super::*;

impl Client {
    pub(super) fn attempt(&mut self, now: Instant) {
        self.number += 1;
        self.phase = Phase::AskingToken { deadline: now + self.config.connect_timeout };
        self.commands.push(Command::AskToken { number: self.number });
    }

    pub(super) fn hello(&self) -> Hello {
        let resume = self.session.as_ref().map(|session| Resume {
            session: session.id.clone(),
            token: session.token.clone(),
            attempt: session.attempt,
            settled: self.outbox.settled(),
            inbox: self.inbox.held,
        });
        Hello {
            client: Some(self.config.agent.clone()),
            auth: self.token.clone(),
            capabilities: vec!["resume".to_owned(), "answers".to_owned()],
            window: Some(self.config.window),
            resume,
        }
    }

    pub(super) fn dial(&mut self, now: Instant) {
        if let Some(session) = &mut self.session {
            session.attempt += 1;
        }
        let mut protocols = vec![SUBPROTOCOL.to_owned()];
        // After an upgrade that failed before ACCEPTED, something in between may dislike long headers (clause
        // `upgrade.fallback`).
        let may_ride = self.config.hello_in_upgrade && self.hello_rides;
        self.hello_rides = false;
        if may_ride {
            let hello = ClientFrame::Hello(Box::new(self.hello())).encode();
            let entry = joined(&[HELLO_PREFIX, &base64url::encode(hello.as_bytes())]);
            if entry.len() <= HELLO_ENTRY_BYTES {
                protocols.push(entry);
                self.hello_rides = true;
            }
        }
        self.phase = Phase::Dialling { deadline: now + self.config.connect_timeout };
        self.commands.push(Command::Dial { number: self.number, protocols });
    }
}
