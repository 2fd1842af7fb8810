//! The built binary, as a person or a test runner starts it.

use crate::peer::{PATIENCE, Raw, base64url};
use futures::StreamExt;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tokio_tungstenite::tungstenite::Message;

const SECRET: &str = "a secret for the binary, of enough bytes";

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_readywire-server"));
    // Whoever runs the tests may have settings of their own.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("READYWIRE_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    binary().args(arguments).envs(environment.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running server, ended at the latest when dropped.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = binary();
        command.args(["--listen", "127.0.0.1:0"]).env("READYWIRE_JWT_SECRET", SECRET);
        command.envs(environment.iter().copied()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ws://").and_then(|rest| rest.strip_suffix("/ws\n"));
        let address = address.unwrap_or_else(|| panic!("{line:?}")).parse().unwrap();
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its exit code and everything that it logged.
    fn ended(mut self) -> (Option<i32>, String) {
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }

    async fn dial(&self, protocols: &str) -> Raw {
        Raw::with_headers(self.address, &[("sec-websocket-protocol", protocols)]).await.unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn minted(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let arguments = [&["token"], arguments].concat();
    let output = run(&arguments, environment);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout).trim().to_owned()
}

fn hello(token: &str) -> Value {
    json!({ "type": "hello", "auth": { "token": token }, "capabilities": ["resume", "answers"] })
}

/// A file that goes with the test.
struct Secret(PathBuf);

impl Secret {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("readywire-{name}-{}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn a_minted_token_is_let_in_wherever_the_secret_comes_from() {
    let server = Process::start(&[]);
    let file = Secret::new("secret", &format!("{SECRET}\n"));
    for token in [
        minted(&["--subject", "alice"], &[("READYWIRE_JWT_SECRET", SECRET)]),
        minted(&["--subject", "alice", "--ttl", "43200s"], &[("READYWIRE_JWT_SECRET_FILE", file.path())]),
        minted(&["--subject", "alice", "--ttl", "60s", "--jwt-secret-file", file.path()], &[]),
    ] {
        let mut raw = server.dial("readywire.v1").await;
        raw.write(&hello(&token)).await;
        assert_eq!(raw.until("ready").await["session"]["subject"], "alice");
    }
    for (token, code) in [
        (minted(&["--subject", "alice", "--ttl", "0s"], &[("READYWIRE_JWT_SECRET", SECRET)]), 4102),
        (minted(&["--subject", "alice"], &[("READYWIRE_JWT_SECRET", "another secret of more than 32 bytes")]), 4104),
        (minted(&["--subject", "alice", "--jwt-audience", "other"], &[("READYWIRE_JWT_SECRET", SECRET)]), 4104),
    ] {
        let mut raw = server.dial("readywire.v1").await;
        raw.write(&hello(&token)).await;
        assert_eq!(raw.ended().await.code, code);
    }
}

#[tokio::test]
async fn a_signal_sends_clients_away_and_ends_well() {
    for name in ["-TERM", "-INT"] {
        let server = Process::start(&[("READYWIRE_DRAIN_DEADLINE", "300ms")]);
        let token = minted(&["--subject", "alice"], &[("READYWIRE_JWT_SECRET", SECRET)]);
        let mut raw = server.dial("readywire.v1").await;
        let connection = raw.frame().await["connection"].as_str().unwrap().to_owned();
        raw.write(&hello(&token)).await;
        raw.until("ready").await;
        server.signal(name);
        raw.until("drain").await;
        let ended = raw.ended().await;
        assert_eq!((ended.code, ended.reason.as_str()), (4301, "the server is going away"));
        drop(raw);
        let (code, log) = server.ended();
        assert_eq!(code, Some(0), "{log}");
        let steps: Vec<&str> = log.lines().filter(|line| line.contains("stage connection=")).collect();
        let expected = ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY", "PROCESSING_READY", "CLOSED"];
        assert_eq!(steps.len(), expected.len(), "one line for each change of stage: {log}");
        for (line, stage) in steps.iter().zip(expected) {
            assert!(line.contains(&connection) && line.contains(&format!("to={stage}")), "{stage} in {line}");
        }
    }
}

#[test]
fn a_signal_right_after_the_address_is_not_too_early() {
    for _ in 0..5 {
        let server = Process::start(&[]);
        server.signal("-TERM");
        assert_eq!(server.ended().0, Some(0));
    }
}

#[tokio::test]
async fn whoever_asks_twice_need_not_wait() {
    let server = Process::start(&[("READYWIRE_DRAIN_DEADLINE", "1h")]);
    let token = minted(&["--subject", "alice"], &[("READYWIRE_JWT_SECRET", SECRET)]);
    let mut raw = server.dial("readywire.v1").await;
    raw.write(&hello(&token)).await;
    raw.until("ready").await;
    server.signal("-INT");
    let drain = raw.until("drain").await;
    assert!(drain["deadline_ms"].as_u64().is_some_and(|deadline| deadline > 3_000_000), "{drain}");
    server.signal("-INT");
    let (code, log) = server.ended();
    assert_eq!(code, Some(1), "{log}");
    assert!(log.contains("asked twice to stop"), "{log}");
}

#[tokio::test]
async fn no_token_gets_into_a_log_however_much_is_logged() {
    let server =
        Process::start(&[("RUST_LOG", "trace,tungstenite=trace,hyper=trace"), ("READYWIRE_DRAIN_DEADLINE", "300ms")]);
    let token = minted(&["--subject", "alice"], &[("READYWIRE_JWT_SECRET", SECRET)]);
    let signature = token.rsplit('.').next().unwrap().to_owned();
    let entry = base64url(hello(&token).to_string().as_bytes());

    let mut riding = server.dial(&format!("readywire.v1, readywire.hello.{entry}")).await;
    let ready = riding.until("ready").await;
    let mut first = server.dial("readywire.v1").await;
    first.write(&hello(&token)).await;
    first.until("ready").await;
    let bearer = format!("Bearer {token}");
    let headers = [("sec-websocket-protocol", "readywire.v1"), ("authorization", bearer.as_str())];
    let mut header = Raw::with_headers(server.address, &headers).await.unwrap();
    header.write(&json!({ "type": "hello" })).await;
    header.until("ready").await;
    // What is refused is logged, too.
    let mut broken = server.dial("readywire.v1").await;
    broken.text(&format!(r#"{{"type":"hello","auth":{{"token":"{token}"}}"#)).await;
    assert_eq!(broken.ended().await.code, 4400);
    let mut invalid = server.dial("readywire.v1").await;
    invalid.write(&hello(&format!("{token}x"))).await;
    assert_eq!(invalid.ended().await.code, 4104);

    server.signal("-TERM");
    while let Some(Ok(message)) = tokio::time::timeout(PATIENCE, riding.0.next()).await.unwrap() {
        assert!(!matches!(message, Message::Binary(_)));
    }
    drop((first, header));
    let (_, log) = server.ended();
    assert!(log.contains("to=AUTHENTICATED subject=\"alice\""), "{log}");
    let session_token = ready["session"]["token"].as_str().unwrap();
    for secret in [signature.as_str(), &entry[..200], session_token, SECRET] {
        assert!(!log.contains(secret), "{secret} in {}", log.lines().find(|line| line.contains(secret)).unwrap());
    }
}

#[tokio::test]
async fn flags_come_from_the_environment_too() {
    let environment = [("READYWIRE_FAULTS", "1"), ("READYWIRE_SERVICE", "model=0s,search=1h"), ("RUST_LOG", "warn")];
    let server = Process::start(&environment);
    let refused = crate::web::post(server.address, "/faults", &[], r#"{"impair": ["nobody"]}"#).await;
    assert!(refused.body.contains("there are: model, search"), "{refused:?}");
    let without = Process::start(&[("READYWIRE_FAULTS", "0")]);
    assert_eq!(crate::web::post(without.address, "/faults", &[], r#"{"cut": true}"#).await.status, 404);
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    for (arguments, environment, expected) in [
        (&[][..], &[][..], "give --jwt-secret-file FILE or set READYWIRE_JWT_SECRET"),
        (&[], &[("READYWIRE_JWT_SECRET", "short")], "the secret has 5 bytes, it needs at least 32"),
        (&["--jwt-secret-file", "/nowhere/at/all"], &[], "cannot read the secret in /nowhere/at/all"),
        (&["--listen", "192.0.2.1:1"], &[("READYWIRE_JWT_SECRET", SECRET)], "cannot listen on 192.0.2.1:1"),
        (&["token"], &[("READYWIRE_JWT_SECRET", SECRET)], "--subject"),
        (&["token", "--subject", "a", "--ttl", "60"], &[("READYWIRE_JWT_SECRET", SECRET)], "a number with a unit"),
    ] {
        let output = run(arguments, environment);
        assert!(!output.status.success());
        let said = text(&output.stderr);
        assert!(said.contains(expected), "{expected} in {said}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn help_has_examples() {
    for (arguments, example) in [
        (&["--help"][..], "readywire-server --jwt-secret-file secret --listen 127.0.0.1:8080"),
        (&["token", "--help"], "readywire-server token --jwt-secret-file secret --subject alice --ttl 43200s"),
    ] {
        let output = run(arguments, &[]);
        let said = text(&output.stdout);
        assert!(output.status.success() && said.contains("Examples:") && said.contains(example), "{said}");
        assert!(said.contains("READYWIRE_JWT_SECRET_FILE"), "{said}");
    }
}
