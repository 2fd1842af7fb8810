//! Virtual time, the agenda, and the network: everything that lies between the two ends.

use crate::plan::{Action, Incident, Plan};
use crate::random::Random;
use crate::watch::Watch;
use readywire_protocol::client::TokenFailure;
use readywire_protocol::close::CloseFrame;
use readywire_protocol::frame::Auth;
use readywire_protocol::time::{Duration, Instant};
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// What travels on a link.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// The answer to the upgrade.
    Open,
    Text(String),
    Close(CloseFrame),
}

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    /// An upgrade reaches the server.
    Upgrade {
        link: usize,
    },
    ToServer {
        link: usize,
        parcel: Parcel,
    },
    ToClient {
        link: usize,
        parcel: Parcel,
    },
    /// The link breaks.
    Cut {
        link: usize,
    },
    /// This end learns that its socket is gone.
    ClientNotices {
        number: u64,
        frame: Option<CloseFrame>,
    },
    ServerNotices {
        link: usize,
        frame: Option<CloseFrame>,
    },
    /// The token provider answers.
    Token {
        number: u64,
        token: Result<Option<Auth>, TokenFailure>,
    },
    /// The same for a fresh one on a living connection.
    FreshToken {
        number: u64,
        token: Result<Option<Auth>, TokenFailure>,
    },
    Act(Action),
    Incident(Incident),
    Server(Chore),
    /// From here on nothing more goes wrong.
    Calm,
}

/// What the servers have to do later.
#[derive(Clone, Debug)]
pub(crate) enum Chore {
    /// The credential was checked.
    Authenticated {
        owner: u64,
    },
    /// A start-up may be further.
    Progress {
        process: usize,
    },
    /// Connections learn which services work.
    Announce {
        process: usize,
    },
    /// The process is back.
    Up {
        process: usize,
        starts: u64,
    },
    DrainOver {
        owner: u64,
    },
    /// Decide what waits to be decided.
    Decide {
        owner: u64,
    },
    /// Another process took the session over.
    Fence {
        owner: u64,
    },
    /// The handler of a stream reads on.
    Read {
        session: String,
        id: u64,
    },
    /// Whoever asked a question waits no longer.
    GiveUp {
        session: String,
        offset: u64,
    },
    /// The next part of an answer.
    Work {
        session: String,
        id: u64,
    },
}

/// One upgrade and the connection that came of it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// The client's number for it.
    pub(crate) number: u64,
    pub(crate) process: usize,
    /// Nobody listens at the client's end: the upgrade was repeated, or came too late.
    pub(crate) deaf: bool,
    pub(crate) up: bool,
    /// The client has closed it, though the server may not have heard.
    pub(crate) hung_up: bool,
    /// The server's words are lost, the client's still arrive.
    mute: bool,
    pub(crate) flaps: bool,
    pub(crate) protocols: Vec<String>,
    /// The server's number for the connection.
    pub(crate) owner: Option<u64>,
    latency: (u64, u64),
    last_to_server: Instant,
    last_to_client: Instant,
}

/// Everything that both ends share.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) now: Instant,
    pub(crate) random: Random,
    pub(crate) plan: Plan,
    pub(crate) watch: Watch,
    pub(crate) links: Vec<Link>,
    pub(crate) calm: bool,
    agenda: BinaryHeap<Reverse<Entry>>,
    entries: u64,
}

#[derive(Debug)]
struct Entry {
    at: Instant,
    order: u64,
    happening: Happening,
}

impl Scene {
    pub(crate) fn new(plan: Plan, random: Random, watch: Watch) -> Self {
        Self {
            now: Instant::default(),
            random,
            plan,
            watch,
            links: Vec::new(),
            calm: false,
            agenda: BinaryHeap::new(),
            entries: 0,
        }
    }

    pub(crate) fn later(&mut self, delay: Duration, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    pub(crate) fn at(&mut self, at: Instant, happening: Happening) {
        self.entries += 1;
        self.agenda.push(Reverse(Entry { at, order: self.entries, happening }));
    }

    pub(crate) fn next_at(&self) -> Option<Instant> {
        self.agenda.peek().map(|Reverse(entry)| entry.at)
    }

    pub(crate) fn take_next(&mut self) -> Option<Happening> {
        self.agenda.pop().map(|Reverse(entry)| entry.happening)
    }

    /// Whether a fault of this rate strikes: never once it is calm.
    pub(crate) fn strikes(&mut self, percent: u64) -> bool {
        self.random.chance(percent) && !self.calm
    }

    /// A new link on which the upgrade is on its way.
    pub(crate) fn dial(&mut self, number: u64, protocols: &[String], process: usize, deaf: bool) -> usize {
        let slow = self.plan.slow;
        let latency = if self.strikes(slow) { (300, 2_000) } else { self.plan.latency };
        let cuts = self.plan.cuts;
        let flaps = self.plan.flaps;
        let flaps = self.strikes(flaps);
        let link = self.links.len();
        self.links.push(Link {
            number,
            process,
            deaf,
            hung_up: false,
            up: true,
            mute: false,
            flaps,
            protocols: protocols.to_vec(),
            owner: None,
            latency,
            last_to_server: self.now,
            last_to_client: self.now,
        });
        if self.strikes(cuts.0) {
            let delay = self.random.millis(0, cuts.1);
            self.later(delay, Happening::Cut { link });
        }
        if deaf {
            let late = self.random.millis(0, 15_000);
            self.later(late, Happening::Upgrade { link });
            let end = late + self.random.millis(0, 40_000);
            self.later(end, Happening::Cut { link });
        } else {
            let late = self.random.millis(latency.0, latency.1);
            self.links[link].last_to_server = self.now + late;
            self.later(late, Happening::Upgrade { link });
        }
        link
    }

    /// The link that the client knows by this number.
    pub(crate) fn link(&self, number: u64) -> Option<usize> {
        self.links.iter().rposition(|link| link.number == number && !link.deaf)
    }

    pub(crate) fn write_to_server(&mut self, link: usize, parcel: Parcel) {
        let Link { up, latency, last_to_server, .. } = self.links[link];
        if up {
            let at = (self.now + self.random.millis(latency.0, latency.1)).max(last_to_server);
            self.links[link].last_to_server = at;
            self.at(at, Happening::ToServer { link, parcel });
        }
    }

    pub(crate) fn write_to_client(&mut self, link: usize, parcel: Parcel) {
        let Link { up, mute, deaf, latency, last_to_client, .. } = self.links[link];
        if up && !mute && !deaf {
            let at = (self.now + self.random.millis(latency.0, latency.1)).max(last_to_client);
            self.links[link].last_to_client = at;
            self.at(at, Happening::ToClient { link, parcel });
        }
    }

    /// Whether what is in flight to the client still arrives.
    pub(crate) fn reaches_client(&self, link: usize) -> bool {
        self.links[link].up && !self.links[link].mute
    }

    /// Breaks a link: what is in flight is lost, at least on its way to the client, and each end learns of it soon, late,
    /// or never.
    pub(crate) fn cut(&mut self, link: usize) {
        if !self.links[link].up {
            return;
        }
        self.links[link].mute = true;
        self.links[link].up = self.random.chance(50);
        let frame = self.random.chance(30).then(|| CloseFrame::new(*self.random.pick(&[1001, 1006, 1011, 1012]), ""));
        let client_notices = self.random.chance(80);
        let server_notices = self.random.chance(70);
        // A server that learns late sees a resume while the old connection still lives.
        let late = if self.random.chance(50) { 30_000 } else { 20 };
        let (client_after, server_after) = (self.random.millis(0, 20), self.random.millis(0, late));
        let Link { number, deaf, .. } = self.links[link];
        if client_notices && !deaf {
            self.later(client_after, Happening::ClientNotices { number, frame: frame.clone() });
        }
        if server_notices {
            self.later(server_after, Happening::ServerNotices { link, frame });
        }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}
