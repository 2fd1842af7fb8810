//! From the hello to `ready`.

use super::tokens::Credential;
use super::{Driver, Held, Levels, Release, Starting};
use crate::claims::TokenError;
use crate::log::LogError;
use crate::service::Progress;
use crate::sessions::{Moment, Resumed, Unbound};
use readywire_protocol::close;
use readywire_protocol::frame::{Hello, LostBecause, SessionGrant};
use readywire_protocol::server::Bound;
use readywire_protocol::stage::Stage;
use std::collections::VecDeque;
use tokio::time::Instant;

/// Who comes without a token, where that is allowed.
pub(crate) const ANONYMOUS: &str = "anonymous";

impl Driver {
    pub(super) async fn hello(&mut self, hello: Hello) {
        if self.core.stage() != Stage::Accepted {
            // Refused meanwhile: nothing is started for it.
            return;
        }
        self.stranger = None;
        self.record.greeted(hello.client.as_ref());
        let has = |level: &str| hello.capabilities.iter().any(|capability| capability == level);
        // Answers come over the inbox, so they need Resume.
        self.levels = Levels { resume: has("resume"), answers: has("resume") && has("answers") };
        if self.hub.parts.gateway.is_some() {
            self.forwarded = hello.auth.as_ref().map(|auth| auth.token.clone()).or_else(|| self.bearer.clone());
        }
        match self.identify(&hello) {
            Ok(credential) => {
                if let Some(tap) = self.wire.tap() {
                    tap.allow_all();
                }
                let start = self.hub.parts.services.connect(&credential.claims.sub);
                let process = self.hub.parts.services.process().progress();
                self.services = Some(Starting { process, own: start.progress(), start });
                self.record.identified(&credential.claims.sub);
                self.core.token_ends(self.hub.now(), credential.ends_in());
                self.token = credential.token;
                self.claims = Some(credential.claims);
                self.resume = hello.resume.filter(|_| self.levels.resume);
                self.core.authenticated(self.hub.now());
                self.step(Stage::Authenticated);
                self.progress().await;
            }
            Err(error) => self.refuse_token(&error),
        }
        // Spent: not kept longer than needed.
        self.bearer = None;
    }

    /// Refuses a token, and says which check failed (clause `token.reasons`).
    pub(super) fn refuse_token(&mut self, error: &TokenError) {
        self.hub.metrics.auth_refused(error);
        self.core.refuse(error.code(), &error.to_string(), None);
    }

    /// The services are further, or are looked at for the first time.
    pub(super) async fn progress(&mut self) {
        let Some(services) = &mut self.services else { return };
        let process = services.process.borrow_and_update().clone();
        let own = services.own.borrow_and_update().clone();
        match (process, own) {
            (Progress::Failed(failure), _) | (_, Progress::Failed(failure)) => {
                self.services = None;
                self.core.refuse(failure.code(), &failure.to_string(), None);
            }
            (Progress::Ready, Progress::Ready) => {
                if self.has_upstream() {
                    self.bind().await;
                }
            }
            (process, own) => {
                let names = [process, own].into_iter().flat_map(|progress| match progress {
                    Progress::Pending(names) => names,
                    _ => Vec::new(),
                });
                let names: Vec<String> = names.collect();
                self.record.pending(&names);
                self.core.pending(self.hub.now(), names);
            }
        }
    }

    /// Binds the session and says ready: from here on the next message is processed.
    async fn bind(&mut self) {
        let (Some(claims), Some(services)) = (self.claims.clone(), self.services.take()) else { return };
        let hub = self.hub.clone();
        hub.parts.services.used(&claims.sub, &services.start);
        self.core.services_ready(hub.now());
        self.step(Stage::ServicesReady);
        let resume = self.resume.take();
        let token = hub.draw_secret();
        let resumes = self.levels.resume;
        let bound = hub.bind(&claims.sub, self.owner, resumes, resume.as_ref(), &token).await;
        let (granted, session, watches) = match bound {
            Ok(bound) => bound,
            Err(Unbound::TakenOver) => return self.log_failed(&LogError::Fenced),
            Err(Unbound::Log(error)) => {
                tracing::error!(connection = self.core.id(), %error, "no session");
                return self.core.refuse(close::SERVICE_FAILED, "sessions are not to be had for now", None);
            }
        };
        if resume.is_some() {
            hub.metrics.resumed(granted.resumed);
        }
        self.impaired = hub.parts.services.impaired().borrow().clone();
        let id = session.address().id.to_string();
        let inbox = watches.as_ref().map(|watches| watches.inbox.clone());
        let release = watches.as_ref().filter(|_| session.awaits_release()).map(|watches| Release {
            news: watches.session.clone(),
            until: Instant::now() + hub.parts.config.release_wait,
        });
        self.held = Some(Held {
            session,
            watches,
            delivered: granted.inbox,
            untaken: VecDeque::new(),
            since: Moment::now(),
            confirmed: false,
            release,
        });
        if !self.attach_upstream(granted.resumed, &token) {
            return;
        }
        self.record.impaired(&self.impaired);
        // Who does not speak Resume has no use for a session, and gets ids for the life of the connection.
        let session = resumes.then(|| SessionGrant {
            id: id.clone(),
            token,
            ttl_ms: u64::try_from(hub.parts.config.session_ttl.as_millis()).unwrap_or(u64::MAX),
            resumed: granted.resumed,
            lost_because: (resume.is_some() && !granted.resumed).then_some(LostBecause::NotFound),
            subject: claims.sub.clone(),
            durability: hub.store.durability().name().to_owned(),
        });
        self.core.ready(Bound {
            session,
            received: granted.received,
            refused: granted.refused,
            inbox: granted.inbox,
            impaired: self.impaired.clone(),
            token_expires_in: Credential { claims, token: self.token }.ends_in(),
        });
        for Resumed { id, unread, read } in granted.streams {
            self.core.stream_resumed(id, unread, read);
        }
        if granted.resumed {
            self.resume_questions(granted.inbox).await;
        }
        self.record.ready(inbox.map(|inbox| (id, inbox)), self.core.levels());
    }
}
