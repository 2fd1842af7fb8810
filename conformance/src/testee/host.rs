//! The suite's server for clients: one listener, and a path for each run.

use super::locked;
use crate::link::Upgrade;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use readywire_protocol::HELLO_PREFIX;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

/// A listener, and who waits for its connections.
#[derive(Clone, Debug)]
pub(super) struct Host {
    pub(super) address: SocketAddr,
    runs: Arc<Mutex<BTreeMap<String, UnboundedSender<Upgrade>>>>,
}

impl Host {
    /// Listens, until the last run has ended.
    pub(super) async fn open() -> Result<Self, String> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| format!("cannot listen: {error}"))?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let runs = Arc::new(Mutex::new(BTreeMap::<String, UnboundedSender<Upgrade>>::new()));
        let waiting = Arc::downgrade(&runs);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::time::timeout(Duration::from_secs(1), listener.accept()).await;
                let Some(runs) = waiting.upgrade() else { return };
                let Ok(Ok((stream, _))) = accepted else { continue };
                tokio::spawn(async move {
                    let Ok(upgrade) = Upgrade::read(stream).await else { return };
                    let run = upgrade.path.split('/').nth(2).unwrap_or_default();
                    let run = run.split('?').next().unwrap_or_default();
                    let taker = locked(&runs).get(run).cloned();
                    // The run may be over, and its client not know yet.
                    let Some(taker) = taker else { return };
                    if let Err(late) = taker.send(upgrade) {
                        late.0.refuse(404).await;
                    }
                });
            }
        });
        Ok(Self { address, runs })
    }

    pub(super) fn expect(&self, run: &str) -> UnboundedReceiver<Upgrade> {
        let (sender, upgrades) = mpsc::unbounded_channel();
        locked(&self.runs).insert(run.to_owned(), sender);
        upgrades
    }

    pub(super) fn forget(&self, run: &str) {
        locked(&self.runs).remove(run);
    }
}

/// The runs whose tokens stand in a line, as they are or in the entry of a hello.
pub(super) fn secrets(line: &str) -> Vec<String> {
    let mut runs = plain_secrets(line);
    for (at, _) in line.match_indices(HELLO_PREFIX) {
        let entry = &line[at + HELLO_PREFIX.len()..];
        let end = entry.find(|character: char| !character.is_ascii_alphanumeric() && !"-_".contains(character));
        let entry = &entry[..end.unwrap_or(entry.len())];
        // What was cut off to be shown may still show enough.
        let whole = &entry[..entry.len() / 4 * 4];
        if let Ok(hello) = URL_SAFE_NO_PAD.decode(entry).or_else(|_| URL_SAFE_NO_PAD.decode(whole)) {
            runs.extend(plain_secrets(&String::from_utf8_lossy(&hello)));
        }
    }
    runs
}

fn plain_secrets(text: &str) -> Vec<String> {
    let ends = |rest: &str| rest.split('-').next().map(str::to_owned);
    text.match_indices("secret-").filter_map(|(at, marker)| ends(&text[at + marker.len()..])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_also_in_the_entry_of_a_hello() {
        let entry = URL_SAFE_NO_PAD.encode(r#"{"auth":{"token":"secret-r7-token"}}"#);
        assert_eq!(secrets(&format!("offers readywire.v1, {HELLO_PREFIX}{entry}, and more")), ["r7"]);
        assert_eq!(secrets("secret-r8-session-1 and secret-r9-token"), ["r8", "r9"]);
        assert!(secrets("readywire.hello.… and secret").is_empty());
    }
}
