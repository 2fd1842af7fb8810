//! Where the parts of an answer go: the inbox of the session that asked, as soon as it has room.

use crate::application::{Inbox, Undeliverable};
use crate::hub::Hub;
use crate::log::Name;
use crate::sessions::{Address, AppendFailure};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::server::{AppendError, SessionMessage};
use std::sync::Arc;

/// The inbox of one session, for its answers.
#[derive(Debug)]
pub(crate) struct SessionInbox {
    /// Where it is.
    pub(crate) hub: Arc<Hub>,
    /// Whose it is.
    pub(crate) address: Address,
    /// The log of the stream that ends together with the answer, if there is one.
    pub(crate) stream: Option<Name>,
}

impl Inbox for SessionInbox {
    /// Waits for room as long as a session may go without its client; then the session is over, since a part that is
    /// left out would be a part lost.
    fn append(&self, message: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>> {
        async move {
            self.hub.fits(&message.event, &message.payload)?;
            // Before anybody knows that the answer has ended (clause `stream.over`). What cannot be reached is removed together
            // with its session.
            if let Some(stream) = self.stream.as_ref().filter(|_| message.end) {
                let _ = self.hub.parts.log.remove(vec![stream.clone()]).await;
            }
            let store = &self.hub.store;
            let patience = tokio::time::sleep(self.hub.parts.config.session_ttl);
            tokio::pin!(patience);
            let mut news = None;
            loop {
                match store.append(&self.address, &message).await {
                    Ok(()) => return Ok(()),
                    Err(AppendFailure::Refused(AppendError::Ended)) => return Err(Undeliverable::Gone),
                    Err(AppendFailure::Log(_)) => return Err(Undeliverable::Unavailable),
                    Err(AppendFailure::Refused(AppendError::Full)) => {}
                }
                // Watched before the next attempt, so that room made right after it is not missed.
                let Some(inbox) = &mut news else {
                    news = Some(store.watch_inbox(&self.address).await.map_err(|_| Undeliverable::Gone)?);
                    continue;
                };
                tokio::select! {
                    changed = inbox.changed() => changed.map_err(|_| Undeliverable::Gone)?,
                    () = &mut patience => {
                        self.hub.overflow(&self.address).await;
                        return Err(Undeliverable::Gone);
                    }
                }
            }
        }
        .boxed()
    }
}

/// For a client that does not speak the level Answers: nobody would understand the parts.
#[derive(Debug)]
pub(crate) struct Nowhere;

impl Inbox for Nowhere {
    fn append(&self, _: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>> {
        async { Ok(()) }.boxed()
    }
}
