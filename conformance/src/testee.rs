//! A client under test: takes orders and reports, in JSON lines, each about one run (`CERTIFY_CLIENT.md`).

pub mod host;
pub mod process;

use crate::case::level;
use crate::link::Upgrade;
use crate::play::PATIENCE;
use host::Host;
use readywire_protocol::clause::Level;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::sync::watch;
use tokio::time::timeout;

/// How long a testee may take to say hello.
const START: Duration = Duration::from_secs(60);

/// What a testee says of itself, once, at its start.
#[derive(Clone, Debug, Deserialize)]
pub struct Hello {
    /// The name of the client.
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The levels that it speaks beyond Core.
    #[serde(default)]
    pub levels: Vec<String>,
    /// Parts of the contract that it lacks.
    #[serde(default)]
    pub lacks: BTreeSet<String>,
    /// The options that it takes in `connect`.
    #[serde(default)]
    pub options: BTreeSet<String>,
}

impl Hello {
    /// Its levels.
    ///
    /// # Errors
    /// There is no such level.
    pub fn levels(&self) -> Result<BTreeSet<Level>, String> {
        let mut levels = BTreeSet::from([Level::Core]);
        for name in &self.levels {
            levels
                .insert(level(name).ok_or_else(|| format!("the testee names a level `{name}`, which does not exist"))?);
        }
        Ok(levels)
    }
}

/// A client under test, whatever carries its lines.
#[derive(Debug)]
pub struct Testee {
    /// What it says of itself.
    pub hello: Hello,
    host: Host,
    orders: UnboundedSender<String>,
    switchboard: Arc<Switchboard>,
    runs: AtomicU64,
}

/// Where reports go, and what they must not hold.
#[derive(Debug, Default)]
struct Switchboard {
    runs: Mutex<BTreeMap<String, UnboundedSender<Value>>>,
    gone: watch::Sender<bool>,
    /// The first line with a token, for each run.
    spilled: Mutex<BTreeMap<String, String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Testee {
    /// Waits for a testee's hello. `orders` go to it, `lines` come from it.
    ///
    /// # Errors
    /// It says none, or ends before.
    pub async fn over(orders: UnboundedSender<String>, mut lines: UnboundedReceiver<String>) -> Result<Self, String> {
        let first = async {
            while let Some(line) = lines.recv().await {
                match serde_json::from_str::<Value>(&line) {
                    Ok(report) if report["on"] == "hello" => return Ok(report),
                    Ok(report) if report["on"] == "trouble" => {
                        return Err(format!("the testee cannot start: {}", report["why"].as_str().unwrap_or_default()));
                    }
                    Ok(_) => {}
                    Err(_) => eprintln!("testee: {line}"),
                }
            }
            Err("the testee ended before it said hello".to_owned())
        };
        let hello = timeout(START, first).await.map_err(|_| "the testee said no hello in 60 s".to_owned())?;
        let hello: Hello = serde_json::from_value(hello?).map_err(|error| format!("the testee's hello: {error}"))?;
        let switchboard = Arc::new(Switchboard::default());
        tokio::spawn({
            let switchboard = switchboard.clone();
            async move {
                while let Some(line) = lines.recv().await {
                    switchboard.take(&line);
                }
                // Whoever waits learns that nothing more can come.
                switchboard.gone.send_replace(true);
                locked(&switchboard.runs).clear();
            }
        });
        Ok(Self { hello, host: Host::open().await?, orders, switchboard, runs: AtomicU64::new(1) })
    }

    /// Whether it has ended before its time.
    pub fn is_gone(&self) -> bool {
        *self.switchboard.gone.borrow()
    }

    /// Begins a run: an address of its own at the suite's server, and reports of its own.
    pub fn run(&self) -> Run {
        let id = format!("r{}", self.runs.fetch_add(1, Ordering::Relaxed));
        let (sender, reports) = mpsc::unbounded_channel();
        locked(&self.switchboard.runs).insert(id.clone(), sender);
        let path = format!("/case/{id}");
        Run {
            url: format!("ws://{}{path}", self.host.address),
            authority: self.host.address.to_string(),
            upgrades: self.host.expect(&id),
            reports,
            options: Map::new(),
            levels: BTreeSet::new(),
            patience: PATIENCE,
            path,
            id,
            orders: self.orders.clone(),
            host: self.host.clone(),
            switchboard: self.switchboard.clone(),
        }
    }
}

impl Switchboard {
    fn take(&self, line: &str) {
        let report: Value = match serde_json::from_str(line) {
            Ok(report) => report,
            // Whatever else a program prints is for people.
            Err(_) => return eprintln!("testee: {line}"),
        };
        for run in host::secrets(line) {
            locked(&self.spilled).entry(run).or_insert_with(|| line.to_owned());
        }
        if let Some(run) = report["run"].as_str()
            && let Some(reports) = locked(&self.runs).get(run)
        {
            let _ = reports.send(report);
        }
    }
}

/// One client, for one case.
#[derive(Debug)]
pub struct Run {
    /// Its opaque id.
    pub id: String,
    /// The address that the client is given.
    pub url: String,
    /// The host and port in it.
    pub authority: String,
    /// The path in it.
    pub path: String,
    upgrades: UnboundedReceiver<Upgrade>,
    /// What the testee reports.
    pub reports: UnboundedReceiver<Value>,
    /// What the client is made with.
    pub options: Map<String, Value>,
    /// What the suite offers to the client.
    pub levels: BTreeSet<Level>,
    /// How long this client may take for the next thing, its own timers included.
    pub patience: Duration,
    orders: UnboundedSender<String>,
    host: Host,
    switchboard: Arc<Switchboard>,
}

impl Run {
    /// Gives an order.
    ///
    /// # Errors
    /// The testee is gone.
    pub fn order(&self, mut order: Value) -> Result<(), String> {
        order["run"] = json!(self.id);
        self.orders.send(order.to_string()).map_err(|_| "the testee is gone".to_owned())
    }

    /// The next request to upgrade.
    ///
    /// # Errors
    /// The testee is gone, so that none can come.
    pub async fn upgrade(&mut self) -> Result<Upgrade, String> {
        let mut gone = self.switchboard.gone.subscribe();
        tokio::select! {
            upgrade = self.upgrades.recv() => upgrade.ok_or_else(|| "the suite's own server has stopped".to_owned()),
            _ = gone.wait_for(|gone| *gone) => Err("the testee is gone".to_owned()),
        }
    }

    /// Whether the testee has ended, so that nothing more can come.
    pub fn is_gone(&self) -> bool {
        *self.switchboard.gone.borrow()
    }

    /// A token that is found again wherever it is spilled.
    pub fn secret(&self, name: &str) -> String {
        format!("secret-{}-{name}", self.id)
    }

    /// The first line in which the testee spilled a token of this run.
    pub fn spilled(&self) -> Option<String> {
        locked(&self.switchboard.spilled).get(&self.id).cloned()
    }

    /// Whether the suite offers this level.
    pub fn has(&self, name: &str) -> bool {
        level(name).is_some_and(|level| self.levels.contains(&level))
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.order(json!({ "op": "end" }));
        self.host.forget(&self.id);
        locked(&self.switchboard.runs).remove(&self.id);
    }
}
