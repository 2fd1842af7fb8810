//! Connections that have not said who they are: at most so many of one address (clause `preauth.connections`).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The strangers of a server.
#[derive(Debug, Default)]
pub(crate) struct Strangers(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Strangers {
    /// One more of this address; `None` if it has `most` already.
    pub(crate) fn admit(&self, address: IpAddr, most: usize) -> Option<Stranger> {
        let mut counts = lock(&self.0);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Stranger { counts: self.0.clone(), address })
    }
}

/// A connection that has not said who it is, while this lives.
#[derive(Debug)]
pub(crate) struct Stranger {
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
    address: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let mut counts = lock(&self.counts);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}

fn lock(counts: &Mutex<HashMap<IpAddr, usize>>) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Counts are whole at every step.
    counts.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_so_many_and_leaving_makes_room() {
        let (here, there) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let strangers = Strangers::default();
        let first = strangers.admit(here, 2);
        let second = strangers.admit(here, 2);
        assert!(first.is_some() && second.is_some());
        assert!(strangers.admit(here, 2).is_none());
        assert!(strangers.admit(there, 2).is_some());
        drop(first);
        assert!(strangers.admit(here, 2).is_some());
        drop(second);
        assert!(lock(&strangers.0).is_empty(), "nobody is remembered");
    }
}
