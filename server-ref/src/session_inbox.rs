//! Where the parts of an answer go: the inbox of the session that asked, as soon as it has room.

use crate::application::{Inbox, Undeliverable};
use crate::hub::Hub;
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
    pub(crate) session: String,
}

impl Inbox for SessionInbox {
    /// Waits for room as long as a session may go without its client; then the session is over, since a part that is
    /// left out would be a part lost.
    fn append(&self, message: SessionMessage) -> BoxFuture<'_, Result<(), Undeliverable>> {
        async move {
            self.hub.fits(&message.event, &message.payload)?;
            let patience = tokio::time::sleep(self.hub.parts.config.session_ttl);
            tokio::pin!(patience);
            loop {
                let room = self.hub.room_made();
                tokio::pin!(room);
                // Enabled before the attempt, so that room made right after it is not missed.
                room.as_mut().enable();
                match self.hub.append(&self.session, message.clone()) {
                    Ok(()) => return Ok(()),
                    Err(AppendError::Ended) => return Err(Undeliverable::Gone),
                    Err(AppendError::Full) => tokio::select! {
                        () = room => {}
                        () = &mut patience => {
                            self.hub.overflow(&self.session);
                            return Err(Undeliverable::Gone);
                        }
                    },
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
