//! A testee that is a program: orders on its standard input, reports on its standard output.

use super::Testee;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a program may take to end once its input has.
const LEAVING: Duration = Duration::from_secs(2);

/// A program that was started.
#[derive(Debug)]
pub struct Program {
    child: Child,
}

/// Starts a program, and waits for its hello.
///
/// # Errors
/// It cannot be started, or says none.
pub async fn start(words: &[String]) -> Result<(Testee, Program), String> {
    let (program, arguments) = words.split_first().ok_or("give a command after `--`, or --browser")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot start {program}: {error}"))?;
    let mut input = child.stdin.take().ok_or("no input")?;
    let mut output = BufReader::new(child.stdout.take().ok_or("no output")?).lines();
    let (orders, mut waiting) = mpsc::unbounded_channel::<String>();
    let (sender, lines) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        // The end of the orders is the end of the input, at which the program ends.
        while let Some(order) = waiting.recv().await {
            if input.write_all(format!("{order}\n").as_bytes()).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Ok(Some(line)) = output.next_line().await {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let testee = Testee::over(orders, lines).await.map_err(|error| format!("{program}: {error}"))?;
    Ok((testee, Program { child }))
}

impl Program {
    /// Lets the program end, and ends it if it does not.
    pub async fn stop(mut self, testee: Testee) {
        drop(testee);
        if timeout(LEAVING, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}
