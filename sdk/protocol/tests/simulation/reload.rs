//! A page that is loaded anew: its client is gone, and the next takes the session up where that left it (clause
//! `session.stored`).

use crate::coverage::Sight;
use crate::device::Device;
use crate::scene::{Parcel, Scene};
use crate::watch::Watch;
use readywire_protocol::client::{Carried, Client, ClientEvent, ClientState, Command};
use readywire_protocol::close::CloseFrame;

/// Which client it is that speaks: each counts its attempts, its refreshes and its questions from 1.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    /// How many came before.
    pub(crate) earlier: u64,
    /// The numbers that those have used.
    attempts: u64,
    refreshes: u64,
    /// What the latest has left for the next.
    pub(crate) carried: Option<Carried>,
}

impl Pages {
    /// What the client calls the attempt with this number of the world; none if it was another page's.
    pub(crate) fn attempt(&self, number: u64) -> Option<u64> {
        number.checked_sub(self.attempts).filter(|number| *number > 0)
    }

    pub(crate) fn refresh(&self, number: u64) -> Option<u64> {
        number.checked_sub(self.refreshes).filter(|number| *number > 0)
    }

    /// A command with the numbers of the world.
    pub(crate) fn command(&self, mut command: Command) -> Command {
        match &mut command {
            Command::AskFreshToken { number } => *number += self.refreshes,
            Command::AskToken { number }
            | Command::Dial { number, .. }
            | Command::Transmit { number, .. }
            | Command::TransmitBinary { number, .. }
            | Command::Close { number, .. } => *number += self.attempts,
        }
        command
    }

    /// The same for an event.
    pub(crate) fn event(&self, mut event: ClientEvent) -> ClientEvent {
        if let ClientEvent::State(change) = &mut event {
            change.attempt += self.attempts;
        }
        event
    }
}

impl Device {
    pub(crate) fn reload(&mut self, scene: &mut Scene) {
        if self.client.state() == ClientState::Closed || scene.watch.is_closing() {
            return;
        }
        for number in std::mem::take(&mut self.sockets) {
            let Some(link) = scene.link(number) else { continue };
            scene.links[link].hung_up = true;
            if scene.random.chance(50) {
                scene.write_to_server(link, Parcel::Close(CloseFrame::new(1001, "")));
            } else {
                scene.cut(link);
            }
        }
        let (attempts, refreshes) = scene.watch.reloaded(self.pages.carried.as_ref());
        let carried = self.pages.carried.take();
        self.pages = Pages { earlier: self.pages.earlier + 1, attempts, refreshes, carried: carried.clone() };
        let (config, seed) = (scene.plan.client.clone(), scene.random.draw());
        self.client = match carried {
            Some(carried) => Client::carry_on(config, seed, carried, &[]),
            None => Client::new(config, seed),
        };
        self.client.connect(scene.now);
    }
}

impl Watch {
    /// Whatever the page before knew is gone with it; gives the numbers that it has used.
    fn reloaded(&mut self, carried: Option<&Carried>) -> (u64, u64) {
        self.saw(Sight::Reloaded);
        self.woken();
        self.forget_page_before();
        let inbox = carried.map_or(0, |carried| carried.inbox);
        self.offers_left(inbox, carried.map(|carried| carried.subject.clone()));
        self.topics_left();
        self.questions_left(inbox, carried.map_or(&[], |carried| &carried.questions[..]));
        (self.asked, self.refreshes_asked)
    }
}
