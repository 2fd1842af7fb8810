//! A server under test that the suite starts and stops.

use crate::settings::VARIABLE;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// How long a server may take to print its address.
const START: Duration = Duration::from_secs(30);
/// How long its last words may take once it has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How to start a server.
#[derive(Clone, Debug, Default)]
pub struct Start {
    /// The command's words.
    pub words: Vec<String>,
    /// The settings that it is told, as JSON.
    pub settings: String,
}

/// A server that was started.
#[derive(Debug)]
pub struct Started {
    /// Its address.
    pub url: String,
    child: Child,
    /// What it prints, if that is kept.
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Start {
    /// Starts the server and waits until it prints its address. Its log goes where the suite's goes, or is kept.
    ///
    /// # Errors
    /// It cannot be started, or prints no address.
    pub async fn run(&self, keeps_log: bool) -> Result<Started, String> {
        let (program, arguments) = self.words.split_first().ok_or("give --url, or a command after `--`")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env(VARIABLE, &self.settings)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(if keeps_log { Stdio::piped() } else { Stdio::inherit() })
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {program}: {error}"))?;
        let log = Arc::<Mutex<String>>::default();
        let mut readers = Vec::new();
        if let Some(errors) = child.stderr.take() {
            readers.push(tokio::spawn(keep(BufReader::new(errors).lines(), log.clone())));
        }
        let output = child.stdout.take().ok_or("no output")?;
        let mut lines = BufReader::new(output).lines();
        let address = async {
            while let Ok(Some(line)) = lines.next_line().await {
                note(&log, &line);
                if let Some(url) = address_in(&line) {
                    return Some(url.to_owned());
                }
            }
            None
        };
        let url = match timeout(START, address).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                // What it said last tells why; something that it started may hold the pipe open.
                for reader in readers {
                    let _ = timeout(LAST_WORDS, reader).await;
                }
                let said = log.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(format!(
                    "{program} ended before it printed a ws:// address; it said:\n{}",
                    said.trim_end()
                ));
            }
            Err(_) => return Err(format!("{program} printed no ws:// address in 30 s")),
        };
        // What it prints later has to go somewhere, or it would stop at a full pipe.
        readers.push(tokio::spawn(keep(lines, log.clone())));
        Ok(Started { url, child, log, readers })
    }
}

async fn keep(mut lines: Lines<BufReader<impl AsyncRead + Unpin>>, log: Arc<Mutex<String>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        note(&log, &line);
    }
}

fn note(log: &Mutex<String>, line: &str) {
    let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
    log.push_str(line);
    log.push('\n');
}

fn address_in(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("ws://") || word.starts_with("wss://"))
}

impl Started {
    /// Asks the process to go away, as an operator would.
    ///
    /// # Errors
    /// There is no way to ask it.
    pub async fn ask_to_stop(&self) -> Result<(), String> {
        let id = self.child.id().ok_or("the server has ended already")?;
        let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
        match asked {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("SIGTERM could not be sent: {status}")),
            Err(error) => Err(format!("SIGTERM could not be sent: {error}")),
        }
    }

    /// Everything that it has printed, once it has ended.
    ///
    /// # Errors
    /// It has not ended in time.
    pub async fn last_log(&mut self, patience: Duration) -> Result<String, String> {
        let ended = async {
            let _ = self.child.wait().await;
            for reader in self.readers.drain(..) {
                let _ = reader.await;
            }
        };
        timeout(patience, ended).await.map_err(|_| "the server goes on after it was asked to stop".to_owned())?;
        Ok(self.log.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Ends the process.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}
