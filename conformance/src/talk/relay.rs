//! A wire between the two that can be cut, and can lead elsewhere.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::http::Uri;

/// How long nobody may have asked before the listener looks whether it is still wanted.
const GLANCE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Relay {
    /// The address for the client.
    pub(super) url: String,
    target: Arc<Mutex<String>>,
    cuts: watch::Sender<u64>,
}

impl Relay {
    pub(super) async fn open(server: &str) -> Result<Self, String> {
        let (target, path) = parts(server)?;
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let target = Arc::new(Mutex::new(target));
        let (cuts, cut) = watch::channel(0);
        tokio::spawn(serve(listener, Arc::downgrade(&target), cut));
        Ok(Self { url: format!("ws://{address}{path}"), target, cuts })
    }

    /// Breaks every connection off.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// From now on connections go to this server.
    pub(super) fn lead_to(&self, server: &str) -> Result<(), String> {
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = parts(server)?.0;
        Ok(())
    }
}

/// The authority and the path of an address.
fn parts(url: &str) -> Result<(String, String), String> {
    let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
    let authority = uri.authority().ok_or_else(|| format!("{url} names no host"))?;
    Ok((authority.to_string(), uri.path().to_owned()))
}

async fn serve(listener: TcpListener, target: std::sync::Weak<Mutex<String>>, cut: watch::Receiver<u64>) {
    loop {
        let accepted = tokio::time::timeout(GLANCE, listener.accept()).await;
        let Some(target) = target.upgrade() else { return };
        let Ok(Ok((mut near, _))) = accepted else { continue };
        let target = target.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut cut = cut.clone();
        cut.mark_unchanged();
        tokio::spawn(async move {
            // Where nobody listens, the client's connection ends at once.
            let Ok(mut far) = TcpStream::connect(&target).await else { return };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                _ = cut.changed() => {}
            }
        });
    }
}
