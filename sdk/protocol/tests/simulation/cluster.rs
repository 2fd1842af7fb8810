//! The servers: one or two processes on one log, doing what a driver of the server's core has to do.

use crate::coverage::Sight;
use crate::greeting::StartUp;
use crate::ledger::tag;
use crate::peer::Peer;
use crate::plan::{Plan, SEARCH};
use crate::questions::Questions;
use crate::scene::{Chore, Happening, Parcel, Scene};
use crate::streams;
use crate::topics::Logs;
use crate::work::Works;
use readywire_protocol::close::{self, CloseFrame};
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{Refusal, Send};
use readywire_protocol::server::{Decision, ServerConnection, ServerEvent, Sessions, Take, Transmit};
use readywire_protocol::time::{Duration, Instant};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) config: ServerConfig,
    pub(crate) up: bool,
    /// Counts its starts, so that news for an earlier life is dropped.
    pub(crate) starts: u64,
    pub(crate) ready_at: Instant,
    pub(crate) impaired: Vec<String>,
    /// What starts for a subject, and goes on when its connection goes.
    pub(crate) under_way: BTreeMap<String, StartUp>,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    pub(crate) sessions: Sessions,
    pub(crate) processes: Vec<Process>,
    pub(crate) peers: BTreeMap<u64, Peer>,
    pub(crate) works: Works,
    /// Connections that have to be looked at.
    pub(crate) stirred: Vec<u64>,
    pub(crate) logs: Logs,
    pub(crate) streams: streams::Logs,
    pub(crate) questions: Questions,
    /// Connections of processes that died: their sessions are let go when the process is back.
    pub(crate) dead: Vec<(usize, String, u64)>,
    pub(crate) names: u64,
    pub(crate) notes: u64,
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
            sessions: Sessions::new(plan.log.clone()),
            processes: plan.servers.iter().map(process).collect(),
            peers: BTreeMap::new(),
            works: Works::default(),
            stirred: Vec::new(),
            logs: Logs::new(),
            streams: streams::Logs::new(),
            questions: Questions::new(),
            dead: Vec::new(),
            names: 0,
            notes: 0,
        }
    }

    /// How many sessions are left when the time of all is over.
    pub(crate) fn sessions_left(&mut self, scene: &mut Scene) -> usize {
        self.sessions.expire(scene.now + Duration::from_secs(3600));
        self.lose_questions(scene);
        self.sessions.len()
    }

    /// Whether the other end of the link is there.
    pub(crate) fn serves(&self, owner: Option<u64>) -> bool {
        owner.is_some_and(|owner| self.peers.contains_key(&owner))
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
        scene.write_to_client(link, Parcel::Open);
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
            Parcel::Close(frame) => self.notice(scene, link, Some(frame)),
        }
    }

    /// The socket is gone.
    pub(crate) fn notice(&mut self, scene: &mut Scene, link: usize, frame: Option<CloseFrame>) {
        scene.links[link].up = false;
        let Some(owner) = scene.links[link].owner else { return };
        self.with(scene, owner, |_, _, peer| peer.core.handle_closed(frame));
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
                // Not all of them at once: the client may use what the first decisions make free.
                let count = scene.random.between(1, peer.to_decide.len().max(1) as u64) as usize;
                let later = peer.to_decide.split_off(count.min(peer.to_decide.len()));
                for send in std::mem::replace(&mut peer.to_decide, later) {
                    cluster.decide(scene, peer, send);
                }
                if !peer.to_decide.is_empty() {
                    let soon = scene.random.millis(0, 30);
                    scene.later(soon, Happening::Server(Chore::Decide { owner }));
                }
            }),
            Chore::Fence { owner } => self.with(scene, owner, |_, scene, peer| {
                scene.watch.saw(Sight::Fenced);
                peer.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }),
            Chore::Read { session, id } => {
                self.read_part(scene, &session, id);
                self.look_around(scene);
            }
            Chore::GiveUp { session, offset } => self.give_up(scene, &session, offset),
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

    pub(crate) fn owners(&self, wanted: impl Fn(&Peer) -> bool) -> Vec<u64> {
        self.peers.iter().filter(|(_, peer)| wanted(peer)).map(|(owner, _)| *owner).collect()
    }

    /// Does something to a connection, then all that follows from it.
    pub(crate) fn with(&mut self, scene: &mut Scene, owner: u64, act: impl FnOnce(&mut Self, &mut Scene, &mut Peer)) {
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
        if let Some(echo) = peer.echo.take() {
            // Whoever wrote it could not know that it had come; it proves nothing about tokens.
            scene.watch.server_read(peer.link, &echo);
            peer.core.handle_message(scene.now, &echo);
            peer.echoing = true;
            while let Some(event) = peer.core.poll_event() {
                self.event(scene, &mut peer, owner, event);
            }
            peer.echoing = false;
        }
        for question in peer.deliver(scene, &self.sessions, owner) {
            self.question_delivered(scene, &mut peer, question);
        }
        Self::transmit(scene, &mut peer);
        self.deliver_topics(scene, &mut peer);
        if peer.closed {
            let timer = peer.core.poll_timeout();
            scene.watch.require(timer.is_none(), "no timer of a closed connection is left", || format!("{timer:?}"));
        } else {
            self.peers.insert(owner, peer);
        }
    }

    /// Writes what the core has to say.
    pub(crate) fn transmit(scene: &mut Scene, peer: &mut Peer) {
        while let Some(transmit) = peer.core.poll_transmit() {
            match transmit {
                Transmit::Binary(_) => unreachable!("nobody sends bytes here"),
                Transmit::Text(text) => {
                    scene.watch.server_wrote(peer.link, &text);
                    if text.starts_with(r#"{"type":"ready""#) && scene.links[peer.link].flaps && !scene.calm {
                        let soon = scene.random.millis(0, 300);
                        scene.later(soon, Happening::Cut { link: peer.link });
                    }
                    scene.write_to_client(peer.link, Parcel::Text(text));
                }
                Transmit::Close { code, reason } => {
                    scene.watch.require(reason.len() <= 123, "a close reason has at most 123 bytes", || reason.clone());
                    scene.write_to_client(peer.link, Parcel::Close(CloseFrame { code, reason }));
                }
            }
        }
    }

    fn event(&mut self, scene: &mut Scene, peer: &mut Peer, owner: u64, event: ServerEvent) {
        match event {
            ServerEvent::Hello(hello) => self.hello(scene, peer, owner, *hello),
            ServerEvent::Send(send) => {
                self.confirm(peer, owner);
                let (rate, longest) = scene.plan.decides_late;
                if !peer.to_decide.is_empty() || (!peer.echoing && scene.strikes(rate)) {
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
            ServerEvent::FreshToken(auth) => Self::fresh_token(scene, peer, &auth),
            ServerEvent::Cancel { re } => {
                self.confirm(peer, owner);
                if let Some(held) = &peer.held {
                    self.works.cancel(&held.id, re);
                }
                // Of a stream it counts even if that is not decided yet: nobody would ever end it (clause `stream.over`).
                if peer.to_decide.iter().any(|send| send.id == re && send.stream) {
                    peer.cancels.push(re);
                }
            }
            ServerEvent::Subscribe { topic, offset, epoch, last } => self.subscribe(peer, topic, offset, epoch, last),
            ServerEvent::Unsubscribe { topic } => drop(peer.follows.remove(&topic)),
            ServerEvent::History(asked) => self.page(scene, peer, asked),
            // Delivered when everything is settled.
            ServerEvent::TopicRoom { .. } => self.confirm(peer, owner),
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
        if let Some(held) = peer.held.as_mut().filter(|held| !held.confirmed && !peer.echoing) {
            held.confirmed = true;
            self.sessions.confirm_token(&held.id, owner);
        }
    }

    /// Decides a send and, if it is new, processes it.
    fn decide(&mut self, scene: &mut Scene, peer: &mut Peer, send: Send) {
        let (Some(held), Some(owner)) = (&peer.held, scene.links[peer.link].owner) else { return };
        let (session, subject) = (held.id.clone(), peer.subject().unwrap_or_default());
        let impaired = self.processes[peer.process].impaired.iter().any(|service| service == SEARCH);
        scene.watch.decides_by(peer.token.as_ref());
        let refuses = scene.plan.refuses;
        let refuse = if let Some(code) = self.judge_stream(peer, &session, &send) {
            Some(streams::refused(&send, code))
        } else if let Some(code) = self.judge_answer(&session, &send) {
            Some(Refusal::new(send.id, code))
        } else if send.event == "needs" && impaired {
            let retry_after_ms = scene.random.chance(30).then(|| scene.random.between(0, 5000));
            Some(Refusal { retry: true, retry_after_ms, service: Some(SEARCH.to_owned()), ..refusal(send.id) })
        } else if send.of.is_none() && scene.strikes(refuses) {
            // Sometimes for a service that works: it may have come back in between.
            let service = scene.random.chance(40).then(|| SEARCH.to_owned());
            Some(Refusal { retry: scene.random.chance(50), service, ..refusal(send.id) })
        } else {
            None
        };
        match self.sessions.take(scene.now, &session, owner, &send, refuse) {
            Take::Fenced => {
                scene.watch.saw(Sight::FencedLate);
                peer.core.refuse(close::SESSION_TAKEN_OVER, "a later attempt has the session", None);
            }
            Take::Again(decision) => {
                if send.id <= self.works.highest(&session) {
                    scene.watch.saw(Sight::TakenAgain);
                }
                if let Decision::Refused(_) = decision {
                    scene.watch.refused(peer.link, send.id);
                } else if send.id > self.works.highest(&session) && send.key.is_some() {
                    scene.watch.saw(Sight::KeyRecognised);
                }
                self.works.decided(&session, &send);
                scene.watch.decided(peer.link, send.id);
                peer.core.decide(scene.now, send.id, decision);
                if send.stream && !self.streams.contains_key(&(session, send.id)) {
                    peer.core.stream_over(send.id);
                }
            }
            Take::New => {
                self.works.decided(&session, &send);
                scene.watch.decided(peer.link, send.id);
                peer.core.decide(scene.now, send.id, Decision::Taken);
                scene.watch.processed(&session, owner, &subject, &send);
                if let Some(topic) = &send.topic {
                    self.publish(scene, topic, send.payload.text().unwrap_or_default());
                }
                let handle = tag(send.payload.text().unwrap_or_default(), "send").unwrap_or_default();
                self.take_part(scene, &session, &send, handle);
                self.take_answer(scene, &session, &send);
                self.begin_work(scene, &session, &send, handle);
                if peer.cancels.contains(&send.id) {
                    self.works.cancel(&session, send.id);
                }
            }
        }
    }
}

fn refusal(id: u64) -> Refusal {
    Refusal::new(id, "not_now")
}
