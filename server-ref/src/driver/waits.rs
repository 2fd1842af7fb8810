//! What a connection waits for; what it does not have, it waits for without end.

use super::{Held, Release, Starting};
use crate::faults::Strike;
use crate::log::Head;
use crate::service::Progress;
use crate::sessions::BoundSession;
use std::future::pending;
use std::pin::Pin;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

pub(crate) async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => pending().await,
    }
}

pub(super) async fn strike(strikes: &mut broadcast::Receiver<Strike>) -> Strike {
    loop {
        match strikes.recv().await {
            Ok(strike) => return strike,
            // Too many at once: those that are left will do.
            Err(broadcast::error::RecvError::Lagged(_)) => {}
            Err(broadcast::error::RecvError::Closed) => return pending().await,
        }
    }
}

/// Either of the starts that a connection waits for is further.
pub(super) async fn further(starting: Option<&mut Starting>) {
    let changed = async |progress: &mut watch::Receiver<Progress>| {
        // One that has come to its end says nothing more.
        if progress.changed().await.is_err() {
            pending::<()>().await;
        }
    };
    match starting {
        Some(starting) => tokio::select! {
            () = changed(&mut starting.process) => {}
            () = changed(&mut starting.own) => {}
        },
        None => pending().await,
    }
}

pub(crate) async fn told(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        pending::<()>().await;
    }
}

/// What a connection watches of its session: who has it, what comes into its inbox, and what becomes of who had it.
#[derive(Default)]
pub(super) struct Watched<'a> {
    pub(super) ownership: Option<Ownership<'a>>,
    pub(super) inbox: Option<Inbox<'a>>,
    pub(super) release: Option<Awaited<'a>>,
    pub(super) session: Option<&'a mut BoundSession>,
}

pub(super) fn split(held: Option<&mut Held>) -> Watched<'_> {
    let Some(Held { session, watches: Some(watches), delivered, release, .. }) = held else {
        return Watched::default();
    };
    let release = release.as_mut().filter(|_| session.awaits_release());
    Watched {
        release: release.map(|Release { news, until }| Awaited { head: news, known: session.offset(), until: *until }),
        ownership: Some(Ownership { head: &mut watches.session, fence: session.fence() }),
        inbox: Some(Inbox { head: &mut watches.inbox, delivered: *delivered }),
        session: Some(session),
    }
}

pub(super) struct Awaited<'a> {
    head: &'a mut watch::Receiver<Head>,
    known: u64,
    until: Instant,
}

pub(super) struct Ownership<'a> {
    head: &'a mut watch::Receiver<Head>,
    fence: u64,
}

pub(super) struct Inbox<'a> {
    head: &'a mut watch::Receiver<Head>,
    delivered: u64,
}

/// Another connection has the session, or nobody ever will: then `true`.
pub(super) async fn lost(ownership: Option<Ownership<'_>>) -> bool {
    match ownership {
        Some(Ownership { head, fence }) => head.wait_for(|head| head.fence > fence).await.is_err(),
        None => pending().await,
    }
}

/// Who had the session before may have written something, or will not any more.
pub(super) async fn released(awaited: Option<Awaited<'_>>) {
    let Some(Awaited { head, known, until }) = awaited else { return pending().await };
    tokio::select! {
        Ok(_) = head.wait_for(|head| head.offset > known) => {}
        () = tokio::time::sleep_until(until) => {}
    }
}

/// Something may have become of the session's streams, or of its questions.
pub(super) async fn moved(session: Option<&mut BoundSession>) {
    match session {
        Some(session) => session.moved().await,
        None => pending().await,
    }
}

/// The inbox has something that was not delivered.
pub(super) async fn filled(inbox: Option<Inbox<'_>>) {
    let Some(Inbox { head, delivered }) = inbox else { return pending().await };
    // What is there already waits for room, which is news of the connection.
    while head.changed().await.is_ok() {
        if head.borrow_and_update().offset > delivered {
            return;
        }
    }
    // That the session is over is told by its own log.
    pending().await
}

/// Ends with a future that may not be there.
pub(crate) async fn ended<F: Future>(future: Option<&mut Pin<Box<F>>>) -> F::Output {
    match future {
        Some(future) => future.as_mut().await,
        None => pending().await,
    }
}
