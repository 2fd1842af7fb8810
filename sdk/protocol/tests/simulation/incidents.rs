//! What happens to the servers.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::plan::Incident;
use crate::scene::{Chore, Happening, Scene};
use crate::topics::TOPICS;
use crate::work::Works;
use readywire_protocol::close;
use readywire_protocol::server::Sessions;
use readywire_protocol::time::Duration;

impl Cluster {
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
                self.sessions = Sessions::new(scene.plan.log.clone());
                self.works = Works::default();
                self.streams.clear();
                self.dead.clear();
                self.lose_questions(scene);
                scene.watch.log_lost();
                for topic in TOPICS {
                    self.lose_topic(scene, topic);
                }
            }
            Incident::Drain { process, down } => self.drain(scene, process, down),
            Incident::Publish { topic } => {
                self.notes += 1;
                let text =
                    format!(r#"{{"note":{},"padding":"{}"}}"#, self.notes, "x".repeat(self.notes as usize % 200));
                self.publish(scene, topic, &text);
                self.look_around(scene);
            }
            Incident::Trim { topic, kept } => {
                self.trim(topic, kept);
                self.look_around(scene);
            }
            Incident::LoseTopic { topic } => {
                self.lose_topic(scene, topic);
                self.look_around(scene);
            }
            Incident::Ask => {
                let sessions: Vec<String> = self.sessions.ids().map(str::to_owned).collect();
                if !sessions.is_empty() {
                    let session = scene.random.pick(&sessions).clone();
                    self.ask(scene, &session);
                }
            }
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

    fn crash(&mut self, scene: &mut Scene, process: usize, down: Duration) {
        // One that goes away in order has connections to the last.
        for owner in self.owners(|peer| peer.process == process) {
            let Some(peer) = self.peers.remove(&owner) else { continue };
            self.dead.extend(peer.held.map(|held| (process, held.id, owner)));
            scene.cut(peer.link);
        }
        if self.processes[process].up {
            self.go_down(scene, process, down);
        }
    }

    fn drain(&mut self, scene: &mut Scene, process: usize, down: Duration) {
        if !self.processes[process].up {
            return;
        }
        scene.watch.saw(Sight::Drained);
        // Its place may be taken by another before its last connection has ended.
        let deadline = Duration::from_millis(*scene.random.pick(&[250, 250, 2_000, 8_000]));
        let window = (Duration::ZERO, scene.random.millis(0, 500));
        let repeats = scene.random.chance(20);
        for owner in self.owners(|peer| peer.process == process) {
            scene.later(deadline, Happening::Server(Chore::DrainOver { owner }));
            self.with(scene, owner, |_, _, peer| {
                if peer.core.stage().is_ready() {
                    peer.core.drain(deadline, window);
                    if repeats {
                        peer.core.drain(deadline, window);
                    }
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

    pub(crate) fn up(&mut self, scene: &mut Scene, process: usize, starts: u64) {
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
