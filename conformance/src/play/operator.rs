//! What only somebody at the server's side can do: stop it, read its log.

use super::{Broken, Peer, Play};
use crate::log::Origin;
use crate::process::Started;
use std::sync::Arc;
use tokio::sync::Mutex;

impl Play {
    pub(super) async fn stop(&mut self) -> Result<(), Broken> {
        self.note(Origin::Suite, "(SIGTERM)");
        let own = self.own("stop")?;
        own.lock().await.ask_to_stop().await.map_err(Broken::Impossible)
    }

    pub(super) async fn unlogged(&mut self, texts: &[String]) -> Result<(), Broken> {
        let own = self.own("unlogged")?;
        let patience = self.patience;
        let log = own.lock().await.last_log(patience).await;
        let log = log.map_err(|error| Broken::failed("a server that ends when it is asked to", error))?;
        for text in texts {
            let text = self.fill(text)?;
            if text.is_empty() {
                return Err(Broken::Impossible("nothing to look for in the log".to_owned()));
            }
            if let Some(line) = log.lines().find(|line| line.contains(&text)) {
                // The report is not to spill what the log may not.
                let actual = line.replace(&text, "…");
                return Err(Broken::failed("no secret of the case in the server's log", actual));
            }
        }
        Ok(())
    }

    fn own(&self, step: &str) -> Result<Arc<Mutex<Started>>, Broken> {
        match &self.peer {
            Peer::Server { own: Some(own), .. } => Ok(own.clone()),
            _ => Err(Broken::Impossible(format!("`{step}` is for cases with `own_server`"))),
        }
    }
}
