//! A whole world, from the first dial to the end of both sides.

use crate::cluster::Cluster;
use crate::coverage::Coverage;
use crate::device::Device;
use crate::plan::{Action, Plan};
use crate::random::Random;
use crate::scene::{Happening, Scene};
use crate::watch::{Failure, Trace, Watch};
use readywire_protocol::client::ClientState;
use readywire_protocol::time::{Duration, Instant};

/// The most steps that a world may take, and that may happen at one moment.
const STEPS: (u64, u64) = (60_000, 4_000);

/// Longer than any run may need once nothing goes wrong any more.
const PATIENCE: Duration = Duration::from_secs(240);

struct World {
    scene: Scene,
    device: Device,
    cluster: Cluster,
    steps_here: u64,
}

/// Runs the world of a seed.
pub(crate) fn run(seed: u64, trace: Option<Trace>) -> Result<Coverage, Failure> {
    let mut world = World::new(seed, trace);
    world.live();
    world.part();
    match world.scene.watch.failure.take() {
        Some(failure) => Err(failure),
        None => Ok(world.scene.watch.coverage),
    }
}

impl World {
    fn new(seed: u64, trace: Option<Trace>) -> Self {
        let mut random = Random::new(seed);
        let plan = Plan::draw(&mut random);
        let (actions, incidents) = (plan.actions(&mut random), plan.incidents(&mut random));
        let calm_at = plan.calm_at;
        let mut watch = Watch::new(trace, &plan);
        watch.note_line(|| format!("{plan:?}"));
        let mut scene = Scene::new(plan, random, watch);
        for (at, action) in actions {
            scene.at(at, Happening::Act(action));
        }
        for (at, incident) in incidents {
            scene.at(at, Happening::Incident(incident));
        }
        scene.at(calm_at, Happening::Calm);
        let cluster = Cluster::new(&scene.plan);
        let mut device = Device::new(&mut scene);
        device.client.connect(scene.now);
        Self { scene, device, cluster, steps_here: 0 }
    }

    /// Goes on until nothing goes wrong any more and everything is decided.
    fn live(&mut self) {
        let give_up = self.scene.plan.calm_at + PATIENCE;
        while !self.is_settled() {
            if !self.step() || self.scene.now > give_up {
                let state = self.device.client.state();
                let unsettled = self.device.client.unsettled();
                let answers = self.scene.watch.awaits_answers();
                let topics = self.scene.watch.awaits_publications();
                let questions = self.scene.watch.awaits_questions();
                let streams = self.cluster.forgotten_streams(&self.device, &self.scene);
                self.scene.watch.require(false, "under fair delivery everything is decided", || {
                    format!(
                        "{state:?}, {unsettled} sends undecided, answers to come: {answers}, publications: {topics}, \
                         questions: {questions}, streams that nobody writes: {streams}"
                    )
                });
            }
            if self.scene.watch.failure.is_some() {
                return;
            }
        }
    }

    fn is_settled(&self) -> bool {
        let over = self.device.client.state() == ClientState::Closed;
        // A connection that only seems to live has to be noticed, too.
        let link = self.device.current(&self.scene);
        let alive = link
            .is_some_and(|link| self.scene.reaches_client(link) && self.cluster.serves(self.scene.links[link].owner));
        let idle = alive
            && self.device.client.state().is_ready()
            && self.device.client.unsettled() == 0
            && !self.scene.watch.awaits_answers()
            && !self.scene.watch.awaits_notes()
            && !self.scene.watch.awaits_publications()
            && !self.scene.watch.awaits_questions()
            && !self.cluster.forgotten_streams(&self.device, &self.scene);
        self.scene.calm && (over || idle)
    }

    /// The application closes, and nothing is left over.
    fn part(&mut self) {
        self.device.act(&mut self.scene, Action::Close);
        self.settle();
        let give_up = self.scene.now + PATIENCE;
        while self.scene.watch.failure.is_none() && self.step() {
            let now = self.scene.now;
            self.scene.watch.require(now <= give_up, "everything comes to an end", String::new);
        }
        let timer = self.device.client.poll_timeout();
        self.scene.watch.require(timer.is_none(), "no timer of the client is left", || format!("{timer:?}"));
        let unsettled = self.device.client.unsettled();
        self.scene.watch.require(unsettled == 0, "no send is left undecided", || unsettled.to_string());
        let ended = self.scene.watch.end.is_some();
        self.scene.watch.require(ended, "a client ends, with a reason", String::new);
        let peers = self.cluster.peers.len();
        self.scene.watch.require(peers == 0, "no connection is left at the servers", || peers.to_string());
        self.scene.watch.everything_settled();
        self.scene.watch.subscriptions_over();
        self.scene.watch.streams_settled();
        let sessions = self.cluster.sessions_left(&mut self.scene);
        self.scene.watch.questions_settled();
        self.scene.watch.require(sessions == 0, "no session is left after its time", || sessions.to_string());
    }

    /// One step; tells whether there was one.
    fn step(&mut self) -> bool {
        let tardy = Duration::from_millis(self.scene.plan.tardy);
        let client = self.device.client.poll_timeout().map(|timer| timer + tardy);
        let server = self.cluster.poll_timeout();
        let agenda = self.scene.next_at();
        let Some(next) = [client, server, agenda].into_iter().flatten().min() else { return false };
        self.advance(next);
        if agenda == Some(next) {
            if let Some(happening) = self.scene.take_next() {
                self.happen(happening);
            }
        } else if server == Some(next) {
            self.cluster.handle_timeout(&mut self.scene);
        } else {
            self.device.handle_timeout(&mut self.scene);
        }
        let spurious = self.scene.plan.spurious;
        if self.scene.strikes(spurious) {
            self.device.client.handle_timeout(self.scene.now);
        }
        self.settle();
        true
    }

    fn advance(&mut self, next: Instant) {
        self.scene.watch.coverage.steps += 1;
        self.steps_here = if next > self.scene.now { 0 } else { self.steps_here + 1 };
        self.scene.now = self.scene.now.max(next);
        self.scene.watch.at(self.scene.now);
        let (all, here) = (self.scene.watch.coverage.steps, self.steps_here);
        self.scene.watch.require(all < STEPS.0 && here < STEPS.1, "steps do not explode", || {
            format!("{all} steps in all, {here} at this moment")
        });
    }

    fn settle(&mut self) {
        let up = self.cluster.processes_up();
        self.device.settle(&mut self.scene, &up);
    }

    fn happen(&mut self, happening: Happening) {
        let Self { scene, device, cluster, .. } = self;
        match happening {
            Happening::Upgrade { link } => cluster.upgrade(scene, link),
            Happening::ToServer { link, parcel } => {
                if scene.links[link].up {
                    cluster.read(scene, link, parcel);
                }
            }
            Happening::ToClient { link, parcel } => {
                if scene.reaches_client(link) {
                    device.read(scene, link, parcel);
                }
            }
            Happening::Cut { link } => {
                // What lives when it is calm stays alive; a connection that the client never had goes all the same.
                if !scene.calm || scene.links[link].deaf {
                    scene.watch.note_line(|| format!("link {link} is cut"));
                    scene.cut(link);
                }
            }
            Happening::ClientNotices { number, frame } => device.notice(scene, number, frame),
            Happening::ServerNotices { link, frame } => cluster.notice(scene, link, frame),
            Happening::Token { number, token } => device.token(scene, number, token),
            Happening::FreshToken { number, token } => device.fresh_token(scene, number, token),
            Happening::Act(action) => device.act(scene, action),
            Happening::Incident(incident) => {
                if !scene.calm {
                    scene.watch.note_line(|| format!("incident {incident:?}"));
                    cluster.suffer(scene, incident);
                }
            }
            Happening::Server(chore) => cluster.chore(scene, chore),
            Happening::Calm => {
                scene.watch.note_line(|| "calm from here on".to_owned());
                scene.calm = true;
                cluster.calm(scene);
            }
        }
    }
}
