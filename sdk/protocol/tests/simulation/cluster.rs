//! The servers: one or two processes on one log, doing what a driver of the server's core has to do.

use crate::coverage::Sight;
use crate::ledger::tag;
use crate::peer::{Held, Peer};
use crate::plan::{Incident, Plan, SEARCH};
use crate::scene::{Chore, Happening, Parcel, Scene};
use crate::work::Works;
use readywire_protocol::close::{self, CloseFrame};
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{Hello, LostBecause, Refusal, Send, SessionGrant};
use readywire_protocol::server::{
    BindError, Bound, Credentials, Decision, SecretHash, ServerConnection, ServerEvent, Sessions, Take, Transmit,
};
use readywire_protocol::time::{Duration, Instant};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) config: ServerConfig,
    up: bool,
    /// Counts its starts, so that news for an earlier life is dropped.
    starts: u64,
    ready_at: Instant,
    impaired: Vec<String>,
    /// What starts for a subject, and goes on when its connection goes.
    under_way: BTreeMap<String, StartUp>,
}

#[derive(Clone, Debug)]
struct StartUp {
    steps: Vec<Instant>,
    fails: bool,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) sessions: Sessions,
    pub(crate) processes: Vec<Process>,
    peers: BTreeMap<u64, Peer>,
    pub(crate) works: Works,
    /// Connections that have to be looked at.
    stirred: Vec<u64>,
    /// Connections of processes that died: their sessions are let go when the process is back.
    dead: Vec<(usize, String, u64)>,
    names: u64,
    notes: u64,
}

impl Cluster {
    pub(crate) fn new(plan: &Plan) -> Self {
        let process = |config: &ServerConfig| Process {
            config: config.clone(),
            up: true,
            starts: 0,
            ready_at: Instant::default(),
            impaired: Vec::new(),
            under_way: BTreeMap::new(),
        };
        Self {
            sessions: Sessions::new(plan.servers[0].clone()),
            processes: plan.servers.iter().map(process).collect(),
            peers: BTreeMap::new(),
            works: Works::default(),
            stirred: Vec::new(),
            dead: Vec::new(),
            names: 0,
            notes: 0,
        }
    }

    pub(crate) fn peers(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn processes_up(&self) -> Vec<usize> {
        (0..self.processes.len()).filter(|index| self.processes[*index].up).collect()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.core.poll_timeout()).min()
    }

    pub(crate) fn handle_timeout(&mut self, scene: &mut Scene) {
        let due = |peer: &Peer| peer.core.poll_timeout().is_some_and(|timer| timer <= scene.now);
        let owners: Vec<u64> = self.peers.iter().filter(|(_, peer)| due(peer)).map(|(owner, _)| *owner).collect();
        for owner in owners {
            self.with(scene, owner, |_, scene, peer| peer.core.handle_timeout(scene.now));
        }
    }

    /// An upgrade arrives.
    pub(crate) fn upgrade(&mut self, scene: &mut Scene, link: usize) {
        let (process, number, deaf) = (scene.links[link].process, scene.links[link].number, scene.links[link].deaf);
        if !scene.links[link].up {
            return;
        }
        if !self.processes[process].up {
            if !deaf {
                scene.later(Duration::ZERO, Happening::ClientNotices { number, frame: None });
            }
            return;
        }
        self.names += 1;
        let owner = self.names;
        let config = self.processes[process].config.clone();
        let protocols = scene.links[link].protocols.clone();
        let id = format!("connection-{owner}");
        let core = ServerConnection::new(config, scene.now, id, protocols.iter().map(String::as_str));
        scene.links[link].owner = Some(owner);
        scene.watch.note_line(|| format!("  link {link} is connection {owner} of process {process}"));
        scene.to_client(link, Parcel::Open);
        self.peers.insert(owner, Peer::new(core, link, process));
        let overload = scene.plan.overload;
        let refused = scene.strikes(overload).then(|| scene.random.millis(1_500, 6_000));
        self.with(scene, owner, |_, scene, peer| {
            if let Some(retry_after) = refused {
                scene.watch.saw(Sight::Overloaded);
                let code = *scene.random.pick(&[close::TOO_MANY, close::DRAINING]);
                peer.core.refuse(code, "come back later", Some(retry_after));
            }
        });
    }

    /// Something comes from the network.
    pub(crate) fn read(&mut self, scene: &mut Scene, link: usize, parcel: Parcel) {
        let Some(owner) = scene.links[link].owner else { return };
        match parcel {
            Parcel::Open => {}
            Parcel::Text(text) => self.with(scene, owner, |_, scene, peer| {
                scene.watch.server_read(link, &text);
                peer.core.handle_message(scene.now, &text);
            }),
            Parcel::Close(frame) => {
                scene.links[link].up = false;
                self.notice(scene, link, Some(frame));
            }
        }
    }

    /// The socket is gone.
    pub(crate) fn notice(&mut self, scene: &mut Scene, link: usize, frame: Option<CloseFrame>) {
        let Some(owner) = scene.links[link].owner else { return };
        self.with(scene, owner, |_, _, peer| peer.core.handle_closed(frame));
    }

    pub(crate) fn suffer(&mut self, scene: &mut Scene, incident: Incident) {
        match incident {
            Incident::Impaired { process, services } => {
                self.processes[process].impaired = services;
                let lag = scene.random.millis(0, 100);
                scene.later(lag, Happening::Server(Chore::Announce { process }));
            }
            Incident::Crash { process, down } => self.crash(scene, process, down),
            Incident::Disaster { down } => {
                for process in 0..self.processes.len() {
                    self.crash(scene, process, down);
                }
                self.sessions = Sessions::new(self.processes[0].config.clone());
                self.works = Works::default();
                self.dead.clear();
                scene.watch.log_lost();
            }
            Incident::Drain { process, down } => self.drain(scene, process, down),
            Incident::Note => {
                let sessions: Vec<String> = self.sessions.ids().map(str::to_owned).collect();
                if !sessions.is_empty() {
                    let session = scene.random.pick(&sessions).clone();
                    self.notes += 1;
                    self.send_note(scene, &session, self.notes);
                }
            }
        }
    }

    /// From here on nothing more goes wrong, and what was wrong is mended.
    pub(crate) fn calm(&mut self, scene: &mut Scene) {
        for process in 0..self.processes.len() {
            if !self.processes[process].up {
                let starts = self.processes[process].starts;
                self.chore(scene, Chore::Up { process, starts });
            }
            self.processes[process].impaired.clear();
            self.chore(scene, Chore::Announce { process });
        }
    }

    pub(crate) fn chore(&mut self, scene: &mut Scene, chore: Chore) {
        match chore {
            Chore::Authenticated { owner } => self.with(scene, owner, Self::authenticated),
            Chore::Progress { process } => {
                let waiting = |peer: &Peer| peer.process == process && peer.starting;
                for owner in self.owners(waiting) {
                    self.with(scene, owner, Self::progress);
                }
            }
            Chore::Announce { process } => {
                let impaired = self.processes[process].impaired.clone();
                for owner in self.owners(|peer| peer.process == process) {
                    let reason = (!impaired.is_empty()).then(|| "impaired".to_owned());
                    self.with(scene, owner, |_, _, peer| peer.core.impaired(impaired.clone(), reason));
                }
            }
            Chore::Up { process, starts } => self.up(scene, process, starts),
            Chore::DrainOver { owner } => self.with(scene, owner, |_, _, peer| {
                peer.core.refuse(close::DRAINING, "the server is going away", None);
            }),
            Chore::Decide { owner } => self.with(scene, owner, |cluster, scene, peer| {
                for send in std::mem::take(&mut peer.to_decide) {
                    cluster.decide(scene, peer, send);
                }
            }),
            Chore::Fence { owner } => self.with(scene, owner, |_, scene, peer| {
                scene.watch.saw(Sight::Fenced);
                peer.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }),
            Chore::Work { session, id } => {
                self.work(scene, &session, id);
                self.look_around(scene);
            }
        }
    }

    /// Connections of the session have something to deliver.
    pub(crate) fn stir(&mut self, session: &str) {
        self.stirred.extend(self.sessions.owner(session));
    }

    fn owners(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<u64> {
        self.peers.iter().filter(|(_, peer)| wanted(peer)).map(|(owner, _)| *owner).collect()
    }

    /// Does something to a connection, then all that follows from it.
    fn with(&mut self, scene: &mut Scene, owner: u64, act: impl FnOnce(&mut Self, &mut Scene, &mut Peer)) {
        let Some(mut peer) = self.peers.remove(&owner) else { return };
        act(self, scene, &mut peer);
        self.settle(scene, owner, peer);
        self.look_around(scene);
    }

    pub(crate) fn look_around(&mut self, scene: &mut Scene) {
        while let Some(owner) = self.stirred.pop() {
            if let Some(peer) = self.peers.remove(&owner) {
                self.settle(scene, owner, peer);
            }
        }
    }

    fn settle(&mut self, scene: &mut Scene, owner: u64, mut peer: Peer) {
        while let Some(event) = peer.core.poll_event() {
            self.event(scene, &mut peer, owner, event);
        }
        peer.deliver(scene, &self.sessions, owner);
        while let Some(transmit) = peer.core.poll_transmit() {
            match transmit {
                Transmit::Text(text) => {
                    scene.watch.server_wrote(peer.link, &text);
                    if text.starts_with(r#"{"type":"ready""#) && scene.links[peer.link].flaps && !scene.calm {
                        let soon = scene.random.millis(0, 300);
                        scene.later(soon, Happening::Cut { link: peer.link });
                    }
                    scene.to_client(peer.link, Parcel::Text(text));
                }
                Transmit::Close { code, reason } => {
                    scene.watch.require(reason.len() <= 123, "a close reason has at most 123 bytes", || reason.clone());
                    scene.to_client(peer.link, Parcel::Close(CloseFrame { code, reason }));
                }
            }
        }
        if peer.closed {
            let timer = peer.core.poll_timeout();
            scene.watch.require(timer.is_none(), "no timer of a closed connection is left", || format!("{timer:?}"));
        } else {
            self.peers.insert(owner, peer);
        }
    }

    fn event(&mut self, scene: &mut Scene, peer: &mut Peer, owner: u64, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) => self.hello(scene, peer, owner, *hello),
            ServerEvent::Send(send) => {
                self.confirm(peer, owner);
                let (rate, longest) = scene.plan.decides_late;
                if !peer.to_decide.is_empty() || scene.strikes(rate) {
                    if peer.to_decide.is_empty() {
                        let late = if scene.calm { Duration::ZERO } else { scene.random.millis(0, longest) };
                        scene.later(late, Happening::Server(Chore::Decide { owner }));
                    }
                    peer.to_decide.push(send);
                } else {
                    self.decide(scene, peer, send);
                }
            }
            ServerEvent::Taken { offset } => {
                self.confirm(peer, owner);
                if let Some(held) = &peer.held {
                    self.sessions.taken(&held.id, owner, offset);
                }
            }
            ServerEvent::Cancel { re } => {
                self.confirm(peer, owner);
                if let Some(held) = &peer.held {
                    self.works.cancel(&held.id, re);
                }
            }
            ServerEvent::Closed(ending) => {
                scene.watch.note_line(|| format!("  connection {owner} is over: {ending:?}"));
                scene.watch.require(!peer.closed, "a connection ends once", || format!("{ending:?}"));
                let blamed = (4400..4500).contains(&ending.code);
                scene.watch.require(!blamed, "correct ends break no clause", || format!("{ending:?}"));
                match ending.code {
                    close::HELLO_TIMEOUT => scene.watch.saw(Sight::HelloTimeout),
                    close::NOT_READY_IN_TIME => scene.watch.saw(Sight::NotReadyInTime),
                    close::HEARTBEAT_TIMEOUT => scene.watch.saw(Sight::ClientSilent),
                    _ => {}
                }
                peer.closed = true;
                if let Some(held) = peer.held.take() {
                    if ending.ends_session {
                        self.sessions.end(&held.id, owner);
                    } else {
                        self.sessions.detach(scene.now, &held.id, owner);
                    }
                }
            }
        }
    }

    /// Only who has read `ready` writes this: the new token has arrived.
    fn confirm(&mut self, peer: &mut Peer, owner: u64) {
        if let Some(held) = peer.held.as_mut().filter(|held| !held.confirmed) {
            held.confirmed = true;
            self.sessions.confirm_token(&held.id, owner);
        }
    }

    fn hello(&mut self, scene: &mut Scene, peer: &mut Peer, owner: u64, hello: Hello) {
        scene.watch.hello(peer.link, &hello);
        let token = hello.auth.as_ref().map(|auth| auth.token.clone()).unwrap_or_default();
        peer.subject = token.strip_prefix("good ").map(str::to_owned);
        peer.resume = hello.resume;
        if scene.random.chance(50) {
            self.authenticated(scene, peer);
        } else {
            let late = scene.random.millis(0, 100);
            scene.later(late, Happening::Server(Chore::Authenticated { owner }));
        }
    }

    fn authenticated(&mut self, scene: &mut Scene, peer: &mut Peer) {
        let Some(subject) = peer.subject.clone() else {
            scene.watch.saw(Sight::TokenRefused);
            return peer.core.refuse(4104, "the token is not valid", None);
        };
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

    fn progress(&mut self, scene: &mut Scene, peer: &mut Peer) {
        let process = &mut self.processes[peer.process];
        let Some(subject) = peer.subject.clone().filter(|_| peer.starting) else { return };
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
        let current = scene.links[peer.link].number == latest && !scene.links[peer.link].deaf;
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
            // Another process hears of it late, or by its next send.
            let process = self.peers.get(&fenced).map(|peer| peer.process);
            if process == Some(peer.process) {
                scene.later(Duration::ZERO, Happening::Server(Chore::Fence { owner: fenced }));
            } else if scene.random.chance(60) {
                let late = scene.random.millis(0, 2_000);
                scene.later(late, Happening::Server(Chore::Fence { owner: fenced }));
            }
        }
        scene.watch.bound(&binding.id, owner);
        peer.held = Some(Held { id: binding.id.clone(), confirmed: false });
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
            token_expires_in: None,
        });
    }

    /// Decides a send and, if it is new, processes it.
    fn decide(&mut self, scene: &mut Scene, peer: &mut Peer, send: Send) {
        let (Some(held), Some(owner)) = (&peer.held, scene.links[peer.link].owner) else { return };
        let (session, subject) = (held.id.clone(), peer.subject.clone().unwrap_or_default());
        let impaired = self.processes[peer.process].impaired.iter().any(|service| service == SEARCH);
        let refuses = scene.plan.refuses;
        let refuse = if send.event == "needs" && impaired {
            Some(Refusal { retry: true, service: Some(SEARCH.to_owned()), ..refusal(send.id) })
        } else if scene.strikes(refuses) {
            // Sometimes for a service that works: it may have come back in between.
            let service = scene.random.chance(40).then(|| SEARCH.to_owned());
            Some(Refusal { retry: scene.random.chance(50), service, ..refusal(send.id) })
        } else {
            None
        };
        let received_before = self.works.highest(&session);
        match self.sessions.take(scene.now, &session, owner, &send, refuse) {
            Take::Fenced => {
                scene.watch.saw(Sight::FencedLate);
                peer.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }
            Take::Again(decision) => {
                if let Decision::Refused(_) = decision {
                    scene.watch.refused(peer.link, send.id);
                } else if send.id <= received_before {
                    scene.watch.saw(Sight::TakenAgain);
                } else if send.key.is_some() {
                    scene.watch.saw(Sight::KeyRecognised);
                }
                peer.core.decide(scene.now, send.id, decision);
            }
            Take::New => {
                peer.core.decide(scene.now, send.id, Decision::Taken);
                scene.watch.processed(&session, owner, &subject, &send);
                let handle = tag(send.payload.text(), "send").unwrap_or_default();
                self.begin_work(scene, &session, &send, handle);
            }
        }
    }

    fn crash(&mut self, scene: &mut Scene, process: usize, down: Duration) {
        if !self.processes[process].up {
            return;
        }
        for owner in self.owners(|peer| peer.process == process) {
            let Some(peer) = self.peers.remove(&owner) else { continue };
            self.dead.extend(peer.held.map(|held| (process, held.id, owner)));
            scene.cut(peer.link);
        }
        self.go_down(scene, process, down);
    }

    fn drain(&mut self, scene: &mut Scene, process: usize, down: Duration) {
        if !self.processes[process].up {
            return;
        }
        scene.watch.saw(Sight::Drained);
        for owner in self.owners(|peer| peer.process == process) {
            scene.later(Duration::from_millis(250), Happening::Server(Chore::DrainOver { owner }));
            self.with(scene, owner, |_, _, peer| {
                if peer.core.stage().is_ready() {
                    peer.core.drain(Duration::from_millis(250), (Duration::ZERO, Duration::from_millis(500)));
                } else {
                    peer.core.refuse(close::DRAINING, "the server is going away", None);
                }
            });
        }
        self.go_down(scene, process, down);
    }

    fn go_down(&mut self, scene: &mut Scene, process: usize, down: Duration) {
        let process_state = &mut self.processes[process];
        process_state.up = false;
        process_state.starts += 1;
        process_state.under_way.clear();
        let starts = process_state.starts;
        scene.later(down, Happening::Server(Chore::Up { process, starts }));
    }

    fn up(&mut self, scene: &mut Scene, process: usize, starts: u64) {
        let state = &mut self.processes[process];
        if state.up || state.starts != starts {
            return;
        }
        state.up = true;
        state.impaired.clear();
        let (from, to) = scene.plan.start;
        state.ready_at = scene.now + scene.random.millis(from, to);
        let ready_at = state.ready_at;
        scene.at(ready_at, Happening::Server(Chore::Progress { process }));
        for (_, session, owner) in self.dead.extract_if(.., |(of, _, _)| *of == process).collect::<Vec<_>>() {
            self.sessions.detach(scene.now, &session, owner);
        }
        // What ran there has died with it: whoever waits for its answer is told.
        self.works.interrupt(scene);
    }
}

fn refusal(id: u64) -> Refusal {
    Refusal {
        id,
        code: "not_now".to_owned(),
        message: String::new(),
        retry: false,
        retry_after_ms: None,
        service: None,
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
