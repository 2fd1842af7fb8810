//! From the hello to `ready`.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::peer::{Held, Peer};
use crate::scene::{Chore, Happening, Scene};
use crate::tokens::Token;
use readywire_protocol::close;
use readywire_protocol::frame::{Hello, LostBecause, SessionGrant};
use readywire_protocol::server::{BindError, Bound, Credentials, SecretHash};
use readywire_protocol::stage::Stage;
use readywire_protocol::time::Instant;

/// What starts for a subject, and goes on when its connection goes.
#[derive(Clone, Debug)]
pub(crate) struct StartUp {
    steps: Vec<Instant>,
    fails: bool,
}

impl Cluster {
    pub(crate) fn hello(&mut self, scene: &mut Scene, peer: &mut Peer, owner: u64, hello: Hello) {
        scene.watch.hello(peer.link, &hello);
        let token = hello.auth.as_ref().map(|auth| auth.token.clone()).unwrap_or_default();
        scene.watch.presented(scene.links[peer.link].number, &token);
        peer.token = Token::read(&token).filter(|token| token.good);
        peer.resume = hello.resume;
        if scene.random.chance(50) {
            self.authenticated(scene, peer);
        } else {
            let late = scene.random.millis(0, 100);
            scene.later(late, Happening::Server(Chore::Authenticated { owner }));
        }
    }

    pub(crate) fn authenticated(&mut self, scene: &mut Scene, peer: &mut Peer) {
        if peer.core.stage() != Stage::Accepted {
            // Refused meanwhile: nothing is started for it.
            return;
        }
        let Some(subject) = peer.subject() else {
            scene.watch.saw(Sight::TokenRefused);
            return peer.core.refuse(4104, "the token is not valid", None);
        };
        if peer.token.as_ref().is_some_and(|token| token.is_over(scene.now)) {
            scene.watch.saw(Sight::TokenOver);
            return peer.core.refuse(close::TOKEN_EXPIRED, "the token has expired", None);
        }
        let left = peer.token.as_ref().and_then(|token| token.left(scene.now));
        peer.core.token_ends(scene.now, left);
        peer.core.authenticated(scene.now);
        peer.starting = true;
        let process = peer.process;
        if !self.processes[process].under_way.contains_key(&subject) {
            let (from, to) = scene.plan.start;
            let fails = scene.plan.start_fails;
            let mut at = scene.now;
            let mut steps = Vec::new();
            for _ in 0..scene.random.between(0, 3) {
                at = at + scene.random.millis(from, to);
                steps.push(at);
                scene.at(at, Happening::Server(Chore::Progress { process }));
            }
            let fails = scene.strikes(fails);
            self.processes[process].under_way.insert(subject, StartUp { steps, fails });
        }
        self.progress(scene, peer);
    }

    pub(crate) fn progress(&mut self, scene: &mut Scene, peer: &mut Peer) {
        let process = &mut self.processes[peer.process];
        let Some(subject) = peer.subject().filter(|_| peer.starting) else { return };
        // Another connection of this subject was ready first and has used the start-up.
        let start = process.under_way.get(&subject);
        let left = start.map_or(0, |start| start.steps.iter().filter(|at| **at > scene.now).count());
        if process.ready_at > scene.now || left > 0 {
            let mut pending: Vec<String> = (0..left).map(|index| format!("service {index}")).collect();
            if process.ready_at > scene.now {
                pending.push("process".to_owned());
            }
            return peer.core.pending(scene.now, pending);
        }
        let failed = process.under_way.remove(&subject).is_some_and(|start| start.fails);
        peer.starting = false;
        if failed {
            scene.watch.saw(Sight::ServiceFailed);
            return peer.core.refuse(close::SERVICE_FAILED, "a service did not start", None);
        }
        self.bind(scene, peer, &subject);
    }

    /// Binds the session and says ready: from here on the next message is processed.
    fn bind(&mut self, scene: &mut Scene, peer: &mut Peer, subject: &str) {
        let Some(owner) = scene.links[peer.link].owner else { return };
        peer.core.services_ready(scene.now);
        let resume = peer.resume.take();
        self.names += 1;
        let token = format!("token-{}", self.names);
        let credentials = Credentials {
            subject: subject.to_owned(),
            owner,
            presented: resume.as_ref().map(|resume| hash(&resume.token)),
            fresh_id: format!("session-{}", self.names),
            fresh_token: hash(&token),
        };
        let former = resume.as_ref().and_then(|resume| self.sessions.owner(&resume.session));
        let bound = self.sessions.bind(scene.now, credentials, resume.as_ref());
        let latest = scene.links.iter().map(|link| link.number).max().unwrap_or(0);
        // One that is cut, or that the client has left, may name what it has passed on another since.
        let link = &scene.links[peer.link];
        let current = link.number == latest && !link.deaf && link.up && !link.hung_up;
        let binding = match bound {
            Ok(binding) => binding,
            Err(BindError::TakenOver) => {
                scene.watch.require(!current, "the highest attempt wins", || format!("{resume:?}"));
                return peer.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }
        };
        scene.watch.note_line(|| format!("  connection {owner} gets {binding:?}"));
        if let Some(resume) = &resume
            && !binding.resumed
        {
            scene.watch.saw(Sight::ResumeFailed);
            let alive = self.sessions.of_subject(subject).any(|id| id == resume.session);
            scene.watch.require(!alive || !current, "a session that lives is resumed", || format!("{resume:?}"));
        }
        if let Some(former) = former.filter(|former| binding.resumed && *former != owner) {
            scene.watch.saw(Sight::Takeover);
            let fenced = binding.fenced == Some(former);
            scene.watch.require(fenced, "the former owner is fenced", || format!("{binding:?}, not {former}"));
        }
        if let Some(fenced) = binding.fenced {
            // Another process hears of it later: perhaps a send of the former owner is there first.
            let here = self.peers.get(&fenced).is_some_and(|other| other.process == peer.process);
            let later = scene.random.millis(0, if here { 200 } else { 10_000 });
            scene.later(later, Happening::Server(Chore::Fence { owner: fenced }));
        }
        scene.watch.bound(&binding.id, owner);
        let echoes = scene.plan.echoes;
        if binding.resumed && scene.strikes(echoes) {
            let config = &self.processes[peer.process].config;
            // Where acks go out at once, it takes no place from what the client writes.
            let fits = |echo: &String| config.in_flight.messages <= 3 && echo.len() as u64 <= config.max_message_bytes;
            peer.echo = self.works.last_send(&binding.id).filter(fits);
        }
        let (id, inbox) = (binding.id.clone(), binding.inbox);
        peer.held = Some(Held { id: id.clone(), confirmed: false });
        let config = &self.processes[peer.process].config;
        peer.core.ready(Bound {
            session: Some(SessionGrant {
                id: binding.id,
                token,
                ttl_ms: config.session_ttl.as_millis() as u64,
                resumed: binding.resumed,
                lost_because: (resume.is_some() && !binding.resumed).then_some(LostBecause::NotFound),
                subject: subject.to_owned(),
                durability: "process".to_owned(),
            }),
            received: binding.received,
            refused: binding.refused,
            inbox: binding.inbox,
            impaired: self.processes[peer.process].impaired.clone(),
            token_expires_in: peer.token.as_ref().and_then(|token| token.left(scene.now)),
        });
        if self.resume_streams(peer, &id) {
            scene.watch.saw(Sight::StreamMoved);
        }
        self.resume_questions(scene, peer, &id, inbox);
    }
}

/// Not a hash, but as good here: tokens differ in their numbers.
fn hash(token: &str) -> SecretHash {
    let mut hash = SecretHash::default();
    for (place, byte) in hash.iter_mut().zip(token.bytes()) {
        *place = byte;
    }
    hash
}
