//! What a world is like: drawn from the seed before anything happens.

use crate::questions::Manner;
use crate::random::Random;
use crate::topics::{PAGES, SUBSCRIPTIONS, TOPICS};
use readywire_protocol::client::{Position, SendOptions, Start};
use readywire_protocol::config::{ClientConfig, ServerConfig, Window};
use readywire_protocol::time::{Duration, Instant};

/// The service that some messages need.
pub(crate) const SEARCH: &str = "search";

/// What works badly at once.
const IMPAIRED: [&[&str]; 4] = [&[SEARCH], &[], &[SEARCH, "mail"], &["mail"]];

/// How likely which fault is, in percent, and how both ends are set up.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) client: ClientConfig,
    /// One for each server process; they share one log.
    pub(crate) servers: Vec<ServerConfig>,
    /// The log's own limits.
    pub(crate) log: ServerConfig,
    /// From here on nothing more goes wrong.
    pub(crate) calm_at: Instant,
    /// Milliseconds that a message takes.
    pub(crate) latency: (u64, u64),
    /// Connections that are slow.
    pub(crate) slow: u64,
    /// Connections that are cut, and within how many milliseconds.
    pub(crate) cuts: (u64, u64),
    /// Connections that are cut as soon as they are ready.
    pub(crate) flaps: u64,
    pub(crate) dial_fails: u64,
    /// Upgrades that reach the server after the client gave up.
    pub(crate) dial_hangs: u64,
    /// Upgrades that reach the server twice.
    pub(crate) dial_repeats: u64,
    pub(crate) token_fails: u64,
    pub(crate) token_slow: u64,
    pub(crate) token_bad: u64,
    /// How long tokens are good.
    pub(crate) token_life: Option<Duration>,
    /// Whether the application follows topics and publishes to them.
    pub(crate) topics: bool,
    /// Whether it streams.
    pub(crate) streams: bool,
    /// Whether the servers' application asks.
    pub(crate) questions: bool,
    /// Whether the page of the client may be loaded anew.
    pub(crate) reloads: bool,
    /// Requests for pages that nobody answers.
    pub(crate) silent_pages: u64,
    /// The token belongs to somebody else from here on.
    pub(crate) new_subject_at: Option<Instant>,
    /// Milliseconds that services take to start.
    pub(crate) start: (u64, u64),
    pub(crate) start_fails: u64,
    /// Sends that the application refuses although nothing is impaired.
    pub(crate) refuses: u64,
    /// Sends that are not decided at once, and for how many milliseconds at most.
    pub(crate) decides_late: (u64, u64),
    /// Connections refused before they are ready.
    pub(crate) overload: u64,
    /// Resumes after which the last send comes once more.
    pub(crate) echoes: u64,
    /// Milliseconds by which the client's timers come late.
    pub(crate) tardy: u64,
    /// How often a timeout is handled that is not due.
    pub(crate) spurious: u64,
}

/// What the application does.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Send { handle: u64, event: &'static str, padding: usize, options: SendOptions },
    Subscribe { handle: u64, topic: &'static str, from: Start },
    History { handle: u64, topic: &'static str, limit: u64, before: Option<Position> },
    Answer { page: u64, question: u64, manner: Manner },
    Cancel(u64),
    Abandon(u64),
    Reload,
    Wake,
    Close,
}

/// What the operators of the servers do, or suffer.
#[derive(Clone, Debug)]
pub(crate) enum Incident {
    /// A service of this process works badly, or well again.
    Impaired { process: usize, services: Vec<String> },
    /// The process dies, and is back after that time.
    Crash { process: usize, down: Duration },
    /// Every process dies, and the log with them.
    Disaster { down: Duration },
    /// The process goes away in an orderly manner, and is back after that time.
    Drain { process: usize, down: Duration },
    /// A message to some session.
    Note,
    /// A question to some session.
    Ask,
    /// A publication of the server's own.
    Publish { topic: &'static str },
    /// All but the last of a topic are forgotten.
    Trim { topic: &'static str, kept: u64 },
    /// A topic begins anew.
    LoseTopic { topic: &'static str },
}

impl Plan {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let latency = *random.pick(&[(0, 0), (1, 5), (5, 40), (20, 200), (0, 400)]);
        let session_ttl = *random.pick(&[120_000, 120_000, 3_000, 500]);
        let ping = *random.pick(&[20_000, 20_000, 6_000]);
        let server = |random: &mut Random| ServerConfig {
            ping_interval: Duration::from_millis(ping),
            ready_timeout: Duration::from_millis(*random.pick(&[30_000, 30_000, 8_000])),
            max_message_bytes: *random.pick(&[1 << 20, 1 << 20, 600]),
            in_flight: Window {
                messages: *random.pick(&[64, 64, 8, 3, 2, 1]),
                bytes: *random.pick(&[1 << 20, 1 << 20, 600]),
            },
            session_ttl: Duration::from_millis(session_ttl),
            topics: true,
            has_streams: true,
            stream: Window { messages: *random.pick(&[64, 64, 3, 1]), bytes: *random.pick(&[1 << 20, 150]) },
            streams: *random.pick(&[16, 2]),
            has_questions: random.chance(90),
            ..ServerConfig::default()
        };
        let log = ServerConfig {
            session_ttl: Duration::from_millis(session_ttl),
            sessions_per_subject: *random.pick(&[16, 16, 3]),
            inbox: Window { messages: *random.pick(&[4096, 12, 3]), bytes: *random.pick(&[8 << 20, 500]) },
            ..ServerConfig::default()
        };
        let processes = random.between(1, 2);
        let servers = (0..processes).map(|_| server(random)).collect();
        let calm_at = Instant::from_origin(random.millis(2_000, 70_000));
        let reloads = random.chance(25);
        Self {
            client: ClientConfig {
                hello_in_upgrade: random.chance(70),
                carried: reloads,
                queue: Window {
                    messages: *random.pick(&[256, 256, 6]),
                    bytes: *random.pick(&[1 << 20, 1 << 20, 2000]),
                },
                queue_age: Duration::from_millis(*random.pick(&[30_000, 30_000, 2_000])),
                window: Window { messages: *random.pick(&[256, 8, 1]), bytes: *random.pick(&[1 << 20, 400, 1]) },
                ..ClientConfig::default()
            },
            servers,
            log,
            calm_at,
            latency,
            slow: random.rate(30, 40),
            cuts: (random.rate(70, 95), *random.pick(&[300, 3_000, 3_000, 20_000])),
            flaps: random.rate(20, 100),
            dial_fails: random.rate(30, 60),
            dial_hangs: random.rate(20, 40),
            dial_repeats: random.rate(15, 40),
            token_fails: random.rate(20, 40),
            token_slow: random.rate(20, 40),
            token_bad: random.rate(15, 40),
            token_life: random.chance(40).then(|| Duration::from_secs(*random.pick(&[12, 30, 90]))),
            topics: random.chance(60),
            // Who has opened a stream stops it, or nobody does: a page that is gone stops nothing.
            streams: !reloads && random.chance(60),
            reloads,
            questions: random.chance(60),
            silent_pages: random.rate(20, 60),
            new_subject_at: random.chance(15).then(|| Instant::from_origin(random.millis(0, 20_000))),
            start: *random.pick(&[(0, 0), (0, 0), (5, 300), (500, 9_000)]),
            start_fails: random.rate(20, 50),
            refuses: random.rate(40, 40),
            decides_late: (random.rate(35, 80), *random.pick(&[60, 500, 25_000])),
            overload: random.rate(15, 40),
            echoes: random.rate(30, 100),
            tardy: *random.pick(&[0, 0, 30]),
            spurious: random.rate(20, 30),
        }
    }

    /// What the application will do, and when. Handles count from 1 in the order of the sends.
    pub(crate) fn actions(&self, random: &mut Random) -> Vec<(Instant, Action)> {
        let end = self.calm_at.since_origin().as_millis() as u64;
        let count = *random.pick(&[1, 4, 15, 60]);
        // All at once, or over the whole life of the world.
        let pace = *random.pick(&[20, 300, 4 * end / count]);
        let events = ["plain", "plain", "needs", "fails"];
        let mut actions = Vec::new();
        let mut at = random.between(0, 500.min(end));
        for handle in 1..=count {
            let options = SendOptions {
                answer: random.chance(30),
                fail_fast: random.chance(10),
                expire_after: random.chance(15).then(|| random.millis(0, 2_000)),
                topic: (self.topics && random.chance(40)).then(|| (*random.pick(&TOPICS)).to_owned()),
                key: random.chance(40).then(|| format!("key-{handle}")),
                stream: self.streams && random.chance(25),
            };
            // A stream is an answer as well, and belongs to no topic.
            let options = SendOptions {
                answer: options.answer || options.stream,
                topic: options.topic.filter(|_| !options.stream),
                ..options
            };
            let padding = *random.pick(&[0, 0, 10, 150, 600]);
            let event = *random.pick(&events);
            actions.push((millis(at), Action::Send { handle, event, padding, options }));
            if random.chance(8) {
                actions.push((millis(at + random.between(0, 3_000)), Action::Cancel(handle)));
            }
            if random.chance(6) {
                actions.push((millis(at + random.between(0, 3_000)), Action::Abandon(handle)));
            }
            // Half of the sends come in bursts.
            if random.chance(50) {
                at = (at + random.between(0, pace)).min(end);
            }
        }
        if self.topics {
            for handle in SUBSCRIPTIONS..SUBSCRIPTIONS + random.between(1, 5) {
                let from = match random.between(0, 9) {
                    0..=5 => Start::Behind(Position { offset: 0, epoch: None }),
                    6..=7 => Start::Last(random.between(0, 6)),
                    _ => Start::Now,
                };
                let latest = if random.chance(50) { 500.min(end) } else { end };
                let at = random.between(0, latest);
                let topic = *random.pick(&TOPICS);
                actions.push((millis(at), Action::Subscribe { handle, topic, from }));
                if random.chance(30) {
                    actions.push((millis(at + random.between(0, 8_000)), Action::Cancel(handle)));
                }
            }
        }
        if self.topics {
            for handle in PAGES..PAGES + random.between(0, 6) {
                let before = random.chance(50).then(|| Position { offset: random.between(0, 12), epoch: None });
                let (topic, limit) = (*random.pick(&TOPICS), random.between(1, 6));
                let at = random.between(0, end);
                actions.push((millis(at), Action::History { handle, topic, limit, before }));
                if random.chance(10) {
                    actions.push((millis(at + random.between(0, 200)), Action::Cancel(handle)));
                }
            }
        }
        for _ in 0..random.rate(25, 5) {
            actions.push((millis(random.between(0, end)), Action::Wake));
        }
        if self.reloads {
            for _ in 0..random.between(1, 4) {
                actions.push((millis(random.between(0, end)), Action::Reload));
            }
        }
        if random.chance(6) {
            actions.push((millis(random.between(0, end)), Action::Close));
        }
        actions
    }

    /// What will happen to the servers, and when.
    pub(crate) fn incidents(&self, random: &mut Random) -> Vec<(Instant, Incident)> {
        let end = self.calm_at.since_origin().as_millis() as u64;
        let last = self.servers.len() as u64 - 1;
        let mut incidents = Vec::new();
        for _ in 0..random.rate(40, 6) {
            let process = random.between(0, last) as usize;
            let services = random.pick(&IMPAIRED).iter().map(|&name| name.to_owned()).collect();
            incidents.push((millis(random.between(0, end)), Incident::Impaired { process, services }));
        }
        for _ in 0..random.rate(25, 3) {
            let (process, down) = (random.between(0, last) as usize, random.millis(10, 6_000));
            incidents.push((millis(random.between(0, end)), Incident::Crash { process, down }));
        }
        for _ in 0..random.rate(25, 3) {
            let down = random.millis(10, 4_000);
            incidents.push((millis(random.between(0, end)), Incident::Disaster { down }));
        }
        for _ in 0..random.rate(30, 3) {
            let (process, down) = (random.between(0, last) as usize, random.millis(0, 3_000));
            incidents.push((millis(random.between(0, end)), Incident::Drain { process, down }));
        }
        for _ in 0..random.rate(40, 20) {
            incidents.push((millis(random.between(0, end)), Incident::Note));
        }
        if self.questions {
            for _ in 0..random.rate(80, 25) {
                incidents.push((millis(random.between(0, end)), Incident::Ask));
            }
        }
        if self.topics {
            for _ in 0..random.rate(80, 40) {
                let topic = *random.pick(&TOPICS);
                incidents.push((millis(random.between(0, end)), Incident::Publish { topic }));
            }
            for _ in 0..random.rate(30, 4) {
                let (topic, kept) = (*random.pick(&TOPICS), random.between(0, 3));
                incidents.push((millis(random.between(0, end)), Incident::Trim { topic, kept }));
            }
            for _ in 0..random.rate(15, 2) {
                let topic = *random.pick(&TOPICS);
                incidents.push((millis(random.between(0, end)), Incident::LoseTopic { topic }));
            }
        }
        incidents
    }
}

fn millis(since_origin: u64) -> Instant {
    Instant::from_origin(Duration::from_millis(since_origin))
}
