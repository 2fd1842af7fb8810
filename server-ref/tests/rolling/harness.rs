//! Two servers on one log, a relay in front of them, and clients; then one server after the other is restarted.
//!
//! Each send notifies its own sender, once if it is processed once: what was acknowledged and does not come is lost, what
//! comes twice was doubled. The notice is the first that its handler does, so that notices come in the order of the sends,
//! whichever server each went to.

use futures::StreamExt;
use readywire::{Options, SendError, connect};
use readywire_server::claims::Authority;
use serde::Deserialize;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;

const SECRET: &str = "a secret for one rolling restart, of enough bytes";
/// How long the last messages may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What to do.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The server's binary.
    pub(crate) server: PathBuf,
    pub(crate) clients: usize,
    /// Sends a second of each client.
    pub(crate) rate: u32,
    pub(crate) time: Duration,
    pub(crate) restarts: usize,
    /// Flags for the servers.
    pub(crate) flags: Vec<String>,
}

/// What came of it, over all clients.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: usize,
    pub(crate) acknowledged: usize,
    pub(crate) refused: usize,
    /// Neither acknowledged nor refused.
    pub(crate) undecided: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    pub(crate) out_of_order: usize,
    /// The longest time between two acknowledgements of each client, sorted.
    pub(crate) pauses: Vec<Duration>,
    /// How long each server took to let its clients go and end.
    pub(crate) drains: Vec<Duration>,
    /// What went wrong otherwise.
    pub(crate) failures: Vec<String>,
}

/// A process, ended at the latest when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(binary: &Path, arguments: &[&str], before: &str) -> Result<Self, String> {
        let mut command = Command::new(binary);
        // Whoever runs this may have settings of their own.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("READYWIRE_")) {
            command.env_remove(name);
        }
        command.args(arguments).env("READYWIRE_JWT_SECRET", SECRET).env("RUST_LOG", "error").stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("cannot start {}: {error}", binary.display()))?;
        let mut line = String::new();
        let read = child.stdout.take().map(|output| BufReader::new(output).read_line(&mut line));
        let address = line.trim().strip_prefix(before).and_then(|rest| rest.trim_end_matches("/ws").parse().ok());
        match (read, address) {
            (Some(Ok(_)), Some(address)) => Ok(Self { child, address }),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("{} said {line:?}", binary.display()))
            }
        }
    }

    /// Asks it to go, as an operator does, and waits until it has.
    async fn drained(mut self) -> Result<Duration, String> {
        let began = Instant::now();
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        if !asked.is_ok_and(|status| status.success()) {
            return Err("a server could not be asked to stop".to_owned());
        }
        let ended = tokio::task::spawn_blocking(move || {
            let status = self.child.wait();
            (self, status)
        });
        match ended.await {
            Ok((_, Ok(status))) if status.success() => Ok(began.elapsed()),
            other => Err(format!("a server ended badly: {:?}", other.map(|(_, status)| status))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Passes connections on, each new one to the next server that takes any.
#[derive(Default)]
struct Relay {
    servers: Mutex<Vec<SocketAddr>>,
    next: AtomicUsize,
}

impl Relay {
    fn open(&self, address: SocketAddr) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).push(address);
    }

    fn shut(&self, address: SocketAddr) {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner).retain(|open| *open != address);
    }

    fn choose(&self) -> Option<SocketAddr> {
        let servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        (!servers.is_empty()).then(|| servers[number % servers.len()])
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((near, _)) = listener.accept().await {
            let Some(address) = self.choose() else { continue };
            tokio::spawn(async move {
                let Ok(far) = TcpStream::connect(address).await else { return };
                let _ = (near.set_nodelay(true), far.set_nodelay(true));
                let (mut near, mut far) = (near, far);
                let _ = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, 4096, 4096).await;
            });
        }
    }
}

/// Does it all.
pub(crate) async fn run(plan: &Plan) -> Result<Tally, String> {
    let log = Process::start(&plan.server, &["log", "--listen", "127.0.0.1:0"], "log on ")?;
    let shared = log.address.to_string();
    let start = || {
        let mut arguments = vec!["--listen", "127.0.0.1:0", "--log", &shared];
        arguments.extend(plan.flags.iter().map(String::as_str));
        Process::start(&plan.server, &arguments, "listening on ws://")
    };
    let relay = Arc::new(Relay::default());
    let mut servers = vec![start()?, start()?];
    servers.iter().for_each(|server| relay.open(server.address));
    let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let url = format!("ws://{}/ws", listener.local_addr().map_err(|error| error.to_string())?);
    let serving = tokio::spawn(relay.clone().serve(listener));

    let authority = Authority::new(SECRET.as_bytes(), "readywire", "readywire").map_err(|error| error.to_string())?;
    let clients: Vec<_> = (0..plan.clients)
        .map(|number| {
            let subject = format!("client-{number}");
            let token = authority.mint(&subject, Duration::from_secs(3600));
            tokio::spawn(client(url.clone(), subject, token, plan.clone()))
        })
        .collect();

    let mut tally = Tally::default();
    for restart in 0..plan.restarts {
        // The first not at once, the last not at the end.
        tokio::time::sleep(plan.time.div_f64(plan.restarts as f64 + 1.0)).await;
        let leaving = servers.remove(0);
        relay.shut(leaving.address);
        match leaving.drained().await {
            Ok(time) => tally.drains.push(time),
            Err(error) => tally.failures.push(format!("restart {}: {error}", restart + 1)),
        }
        let fresh = start()?;
        relay.open(fresh.address);
        servers.push(fresh);
    }
    for client in clients {
        match client.await {
            Ok(Ok(one)) => tally.add(&one),
            Ok(Err(error)) => tally.failures.push(error),
            Err(error) => tally.failures.push(error.to_string()),
        }
    }
    tally.pauses.sort();
    serving.abort();
    Ok(tally)
}

/// What one client saw.
#[derive(Debug, Default)]
struct Seen {
    outcomes: Vec<(u64, Result<Instant, SendError>)>,
    notices: Vec<u64>,
}

#[derive(Deserialize)]
struct Notice {
    text: String,
}

async fn client(url: String, subject: String, token: String, plan: Plan) -> Result<Seen, String> {
    let client = connect(&url, Options::new().bearer(token)).await.map_err(|error| format!("{subject}: {error}"))?;
    let mut messages = client.messages();
    let count = u64::from(plan.rate) * plan.time.as_secs();
    let (told, mut last) = tokio::sync::watch::channel(0);
    let reading = tokio::spawn(async move {
        let mut notices = Vec::new();
        while let Some(message) = messages.next().await {
            let Ok(message) = message else { break };
            if let Ok(Notice { text }) = message.payload::<Notice>() {
                notices.extend(text.parse::<u64>());
                told.send_replace(notices.last().copied().unwrap_or_default());
            }
        }
        notices
    });
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / plan.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sendings = Vec::new();
    for number in 1..=count {
        ticks.tick().await;
        let note = serde_json::json!({ "subject": subject, "text": number.to_string() });
        let sending = client.send("notify", &note);
        sendings.push(tokio::spawn(async move { (number, sending.await.map(|_| Instant::now())) }));
    }
    let mut outcomes = Vec::new();
    for sending in sendings {
        outcomes.push(sending.await.map_err(|error| error.to_string())?);
    }
    let _ = tokio::time::timeout(PATIENCE, last.wait_for(|last| *last >= count)).await;
    client.close().await;
    let notices = reading.await.map_err(|error| error.to_string())?;
    Ok(Seen { outcomes, notices })
}

impl Tally {
    fn add(&mut self, seen: &Seen) {
        let come: HashSet<u64> = seen.notices.iter().copied().collect();
        let mut acknowledged = Vec::new();
        self.sent += seen.outcomes.len();
        for (number, outcome) in &seen.outcomes {
            match outcome {
                Ok(at) => {
                    acknowledged.push(*at);
                    self.lost += usize::from(!come.contains(number));
                }
                Err(SendError::Refused { .. }) => self.refused += 1,
                Err(_) => self.undecided += 1,
            }
        }
        self.acknowledged += acknowledged.len();
        self.doubled += seen.notices.len() - come.len();
        self.out_of_order += seen.notices.windows(2).filter(|pair| pair[0] > pair[1]).count();
        acknowledged.sort();
        self.pauses.extend(acknowledged.windows(2).map(|pair| pair[1] - pair[0]).max());
    }

    /// What must not be.
    pub(crate) fn faults(&self) -> [(&'static str, usize); 6] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("refused", self.refused),
            ("undecided", self.undecided),
            ("failures", self.failures.len()),
        ]
    }
}
