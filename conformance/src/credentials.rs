//! Where the tokens for a server under test come from.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// How long the command for tokens may take.
const LONGEST: Duration = Duration::from_secs(30);

/// The subject whose tokens end too soon to be used again.
const BRIEF: &str = "brief";

/// Tokens by subject.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// The server wants none.
    None,
    /// One token for everybody.
    Token(String),
    /// A command that prints a token; `{subject}` in it stands for whose.
    Command {
        /// The words of the command.
        words: Vec<String>,
        /// What it printed.
        printed: Arc<Mutex<BTreeMap<String, String>>>,
    },
}

impl Credentials {
    /// From a command's words.
    pub fn command(words: Vec<String>) -> Self {
        Self::Command { words, printed: Arc::default() }
    }

    /// The token of a subject; empty if none is wanted.
    ///
    /// # Errors
    /// The command failed.
    pub async fn token(&self, subject: &str) -> Result<String, String> {
        match self {
            Self::None => Ok(String::new()),
            Self::Token(token) => Ok(token.clone()),
            Self::Command { words, printed } => {
                let mut printed = printed.lock().await;
                if let Some(token) = printed.get(subject).filter(|_| subject != BRIEF) {
                    return Ok(token.clone());
                }
                let mut words = words.iter().map(|word| word.replace("{subject}", subject));
                let program = words.next().ok_or("the command for tokens is empty")?;
                let output = Command::new(&program).args(words).stdin(Stdio::null()).kill_on_drop(true).output();
                let output = timeout(LONGEST, output).await;
                let output = output.map_err(|_| format!("the command for tokens, {program}, took longer than 30 s"))?;
                let output = output.map_err(|error| format!("the command for tokens, {program}: {error}"))?;
                if !output.status.success() {
                    let error = String::from_utf8_lossy(&output.stderr);
                    return Err(format!("the command for tokens failed ({}): {}", output.status, error.trim()));
                }
                let token = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                printed.insert(subject.to_owned(), token.clone());
                Ok(token)
            }
        }
    }
}
