//! A peer under test that the suite starts and stops.

use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// How long a server may take to print its address.
const START: Duration = Duration::from_secs(30);

/// A server that was started.
#[derive(Debug)]
pub struct Started {
    /// Its address.
    pub url: String,
    child: Child,
}

/// Starts a server and waits until it prints its address.
///
/// # Errors
/// It cannot be started, or prints none.
pub async fn start(words: &[String]) -> Result<Started, String> {
    let (program, arguments) = words.split_first().ok_or("give --url, or a command after `--`")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let output = child.stdout.take().ok_or("no output")?;
    let mut lines = BufReader::new(output).lines();
    let address = async {
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(url) = address_in(&line) {
                return Some(url.to_owned());
            }
        }
        None
    };
    let found = timeout(START, address).await.map_err(|_| format!("{program} printed no ws:// address in 30 s"))?;
    let url = found.ok_or_else(|| format!("{program} ended before it printed a ws:// address"))?;
    // What it prints later has to go somewhere, or it would stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Ok(Started { url, child })
}

fn address_in(line: &str) -> Option<&str> {
    line.split_whitespace().find(|word| word.starts_with("ws://") || word.starts_with("wss://"))
}

impl Started {
    /// Ends the process.
    pub async fn stop(mut self) {
        let _ = self.child.kill().await;
    }
}
