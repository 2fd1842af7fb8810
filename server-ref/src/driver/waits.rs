//! What a connection waits for; what it does not have, it waits for without end.

use super::Starting;
use crate::faults::Strike;
use crate::hub::Holder;
use crate::service::Progress;
use std::future::pending;
use tokio::sync::{broadcast, watch};
use tokio::time::Instant;

pub(super) async fn at(moment: Option<Instant>) {
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

pub(super) async fn told(draining: &mut watch::Receiver<bool>) {
    if draining.wait_for(|draining| *draining).await.is_err() {
        pending::<()>().await;
    }
}

pub(super) async fn filled(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.inbox.notified().await,
        None => pending().await,
    }
}

pub(super) async fn replaced(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.replaced.cancelled().await,
        None => pending().await,
    }
}

pub(super) async fn overflowed(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.overflowed.cancelled().await,
        None => pending().await,
    }
}
