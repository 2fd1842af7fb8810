//! The order of sends while their session goes from one server to another (clause `send.order`).
//!
//! No clock decides here: at the former server the log takes as long as a test wants.

use crate::peer::{HOUR, Raw, hello_as, parts, resuming, served};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_server::application::{Answer, Application, Failure, Handler, Request, payload};
use readywire_server::hub::Parts;
use readywire_server::log::memory::MemoryLog;
use readywire_server::log::socket::{self, SocketLog};
use readywire_server::log::{Append, Appended, Batch, Durability, Entry, Head, Log, LogError, Name};
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// When an append waits at the gate.
#[derive(Clone, Copy, Debug)]
enum Held {
    /// Before it gets to the log.
    Before(&'static str),
    /// When it is written, and nobody has heard of it.
    Behind(&'static str),
}

/// A log with a gate: the next append to a log of this kind is held there, and no other.
#[derive(Debug)]
struct GatedLog {
    log: Arc<dyn Log>,
    armed: Mutex<Option<Held>>,
    open: watch::Sender<bool>,
    arrivals: mpsc::UnboundedSender<()>,
}

impl GatedLog {
    fn arm(&self, held: Held) {
        *self.armed.lock().unwrap() = Some(held);
    }

    fn open(&self) {
        self.open.send_replace(true);
    }

    /// What is to be done with this one.
    fn catches(&self, appends: &[Append]) -> Option<Held> {
        let mut armed = self.armed.lock().unwrap();
        let (Some(Held::Before(kind) | Held::Behind(kind)), Some(append)) = (*armed, appends.first()) else {
            return None;
        };
        append.log.starts_with(kind).then(|| armed.take()).flatten()
    }

    async fn pass(&self) {
        let _ = self.arrivals.send(());
        let _ = self.open.subscribe().wait_for(|open| *open).await;
    }
}

impl Log for GatedLog {
    fn append(&self, appends: Vec<Append>) -> BoxFuture<'_, Result<Vec<Appended>, LogError>> {
        let held = self.catches(&appends);
        async move {
            if let Some(Held::Before(_)) = held {
                self.pass().await;
            }
            let appended = self.log.append(appends).await;
            if let Some(Held::Behind(_)) = held {
                self.pass().await;
            }
            appended
        }
        .boxed()
    }

    fn read<'a>(&'a self, log: &'a str, after: u64, room: Window) -> BoxFuture<'a, Result<Batch, LogError>> {
        self.log.read(log, after, room)
    }

    fn find<'a>(&'a self, log: &'a str, key: &'a str) -> BoxFuture<'a, Result<Option<Entry>, LogError>> {
        self.log.find(log, key)
    }

    fn trim<'a>(&'a self, log: &'a str, through: u64) -> BoxFuture<'a, Result<(), LogError>> {
        self.log.trim(log, through)
    }

    fn subscribe<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<watch::Receiver<Head>, LogError>> {
        self.log.subscribe(log)
    }

    fn keep(&self, logs: Vec<Name>, time: Duration) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.keep(logs, time)
    }

    fn list<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Result<Vec<Name>, LogError>> {
        self.log.list(prefix)
    }

    fn remove(&self, logs: Vec<Name>) -> BoxFuture<'_, Result<(), LogError>> {
        self.log.remove(logs)
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }
}

/// Tells that it has started, then writes a notice to its own sender.
struct Note(mpsc::UnboundedSender<u64>);

impl Handler for Note {
    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = self.0.send(request.id);
        async move {
            let (subject, id) = (&request.subject, payload(&request.id)?);
            request.room.to_subject(subject, "noted", &id).await?;
            Ok(())
        }
        .boxed()
    }
}

/// Works until it is stopped.
struct Work(mpsc::UnboundedSender<u64>);

impl Handler for Work {
    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        let _ = self.0.send(request.id);
        async move {
            answer.cancellation().cancelled().await;
            Err(Failure::cancelled())
        }
        .boxed()
    }
}

/// Two servers, as two processes are: they share a log over a socket, which the one reaches through a gate.
struct Two {
    one: Running,
    other: Running,
    gate: Arc<GatedLog>,
    arrivals: mpsc::UnboundedReceiver<()>,
    starts: mpsc::UnboundedReceiver<u64>,
}

impl Two {
    async fn waiting(release_wait: Duration) -> Self {
        let listener = socket::listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(socket::serve(listener, MemoryLog::new()));
        let (arrived, arrivals) = mpsc::unbounded_channel();
        let gate = Arc::new(GatedLog {
            log: SocketLog::connect(address).await.unwrap(),
            armed: Mutex::default(),
            open: watch::Sender::new(false),
            arrivals: arrived,
        });
        let (started, starts) = mpsc::unbounded_channel();
        let with = |log| {
            let application =
                Application::new().with("note", Note(started.clone())).with("work", Work(started.clone()));
            Parts { log, application, config: ServerConfig { release_wait, ..ServerConfig::default() }, ..parts() }
        };
        let one = served(with(gate.clone())).await;
        let other = served(with(SocketLog::connect(address).await.unwrap())).await;
        Self { one, other, gate, arrivals, starts }
    }

    /// A connection at the one server, whose first send is held at the gate.
    async fn held(&mut self, held: Held) -> (Raw, Value) {
        let (mut raw, ready) = Raw::ready(&self.one, &hello_as("alice")).await;
        self.gate.arm(held);
        raw.write(&note(1)).await;
        self.arrivals.recv().await.unwrap();
        (raw, ready)
    }

    fn assert_nothing_starts(&mut self) {
        assert_eq!(self.starts.try_recv().ok(), None, "started too early");
    }

    async fn assert_starts(&mut self, ids: &[u64]) {
        for id in ids {
            assert_eq!(self.starts.recv().await, Some(*id));
        }
    }
}

fn note(id: u64) -> Value {
    json!({ "type": "send", "id": id, "event": "note" })
}

/// A server that answers this has decided what came before it, if it would.
async fn pings(raw: &mut Raw) {
    raw.write(&json!({ "type": "ping", "nonce": "n" })).await;
    raw.until("pong").await;
}

const DECIDED_AND_UNHEARD_OF: Held = Held::Behind("session/");
const NOTICED_AND_UNWRITTEN: Held = Held::Before("inbox/");

#[tokio::test]
async fn what_the_one_server_took_starts_before_what_comes_to_the_other() {
    let mut two = Two::waiting(HOUR).await;
    let (mut former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut raw, again) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    assert_eq!(again["received"], 1, "it was taken, and is ready without waiting for its start");
    raw.write(&note(2)).await;
    pings(&mut raw).await;
    two.assert_nothing_starts();

    two.gate.open();
    two.assert_starts(&[1, 2]).await;
    raw.acked(2).await;
    assert_eq!(former.ended().await.code, 4013);
    raw.write(&note(3)).await;
    two.assert_starts(&[3]).await;
}

#[tokio::test]
async fn so_it_is_within_one_server() {
    let mut two = Two::waiting(HOUR).await;
    let (_former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut raw, _) = Raw::ready(&two.one, &resuming("alice", &ready, 1, 0)).await;
    raw.write(&note(2)).await;
    pings(&mut raw).await;
    two.assert_nothing_starts();
    two.gate.open();
    two.assert_starts(&[1, 2]).await;
}

#[tokio::test]
async fn a_connection_in_between_that_took_nothing_does_not_hide_the_one_that_did() {
    let mut two = Two::waiting(HOUR).await;
    let (_former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut between, again) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    between.write(&note(2)).await;
    pings(&mut between).await;
    let (mut raw, _) = Raw::ready(&two.other, &resuming("alice", &again, 2, 0)).await;
    assert_eq!(between.ended().await.code, 4013);
    raw.write(&note(3)).await;
    pings(&mut raw).await;
    two.assert_nothing_starts();
    two.gate.open();
    two.assert_starts(&[1, 3]).await;
}

#[tokio::test]
async fn notices_that_are_under_way_at_the_one_server_come_before_those_of_the_other() {
    let mut two = Two::waiting(HOUR).await;
    let (mut former, ready) = two.held(NOTICED_AND_UNWRITTEN).await;
    two.assert_starts(&[1]).await;
    former.acked(1).await;
    let (mut raw, _) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    raw.write(&note(2)).await;
    for _ in 0..20 {
        pings(&mut raw).await;
        two.assert_nothing_starts();
    }
    two.gate.open();
    assert_eq!(raw.message(1).await["payload"], 1);
    assert_eq!(raw.message(2).await["payload"], 2);
}

#[tokio::test]
async fn a_server_that_gives_no_sign_is_not_waited_for_for_ever() {
    let mut two = Two::waiting(Duration::from_millis(50)).await;
    let (_former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut raw, _) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    raw.write(&note(2)).await;
    raw.acked(2).await;
    two.assert_starts(&[2]).await;
}

#[tokio::test]
async fn what_waits_for_its_turn_can_be_stopped() {
    let mut two = Two::waiting(HOUR).await;
    let (_former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut raw, _) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    raw.ask(2, "work", Value::Null).await;
    raw.write(&json!({ "type": "cancel", "re": 2 })).await;
    pings(&mut raw).await;
    two.gate.open();
    two.assert_starts(&[1, 2]).await;
    assert_eq!(raw.message(1).await["payload"], 1);
    assert_eq!(raw.message(2).await["error"]["code"], "cancelled");
}

/// Clause `cancel.idempotent`, for a send that has not been decided yet.
#[tokio::test]
async fn what_waits_is_stopped_once_however_often_that_is_asked_for() {
    let mut two = Two::waiting(HOUR).await;
    let (_former, ready) = two.held(DECIDED_AND_UNHEARD_OF).await;
    let (mut raw, _) = Raw::ready(&two.other, &resuming("alice", &ready, 1, 0)).await;
    raw.ask(2, "work", Value::Null).await;
    raw.ask(3, "work", Value::Null).await;
    for _ in 0..100 {
        raw.write(&json!({ "type": "cancel", "re": 2 })).await;
    }
    pings(&mut raw).await;
    two.assert_nothing_starts();
    two.gate.open();
    two.assert_starts(&[1, 2, 3]).await;
    assert_eq!(raw.message(1).await["payload"], 1);
    let stopped = raw.message(2).await;
    assert_eq!((&stopped["re"], &stopped["error"]["code"]), (&json!(2), &json!("cancelled")));
    // The other one works on until it is its turn, and nothing more comes of the first.
    raw.write(&json!({ "type": "cancel", "re": 3 })).await;
    let stopped = raw.message(3).await;
    assert_eq!((&stopped["re"], &stopped["error"]["code"]), (&json!(3), &json!("cancelled")));
}
