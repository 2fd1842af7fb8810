//! Fault switches for demonstrations and tests. Without `--faults` nothing can reach them over the network.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// How long a connection that is struck by [`Strike::Drain`] goes on, and within how long its client is to dial anew.
pub(crate) const DRAIN_DEADLINE: Duration = Duration::from_secs(5);
pub(crate) const RECONNECT_AFTER: (Duration, Duration) = (Duration::ZERO, Duration::from_millis(500));

/// A token, without what could be taken from it.
pub type TokenHash = [u8; 32];

/// What is switched on, for services to watch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    /// How long a service's start takes instead of its own time.
    pub delays: BTreeMap<String, Duration>,
    /// Services whose start fails.
    pub failing: BTreeSet<String>,
    /// Services that run badly.
    pub impaired: BTreeSet<String>,
}

/// What happens once, to connections that are open now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strike {
    /// The socket goes away with no word.
    Cut {
        /// Only this subject's; everybody's if absent.
        subject: Option<String>,
    },
    /// The client is told to go, as before a deployment; who comes then is let in, as by the server behind that.
    Drain {
        /// Only this subject's; everybody's if absent.
        subject: Option<String>,
    },
    /// As if the token had expired at this moment, for good: see [`Faults::expire`].
    ExpireToken {
        /// Only this subject's; everybody's if absent.
        subject: Option<String>,
    },
}

/// The body of `POST /faults`; what is absent stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FaultRequest {
    /// Sets the start-up times of services, in milliseconds.
    pub service_delay_ms: Option<BTreeMap<String, u64>>,
    /// Sets which services fail to start.
    pub service_fail: Option<BTreeSet<String>>,
    /// Sets which services run badly.
    pub impair: Option<BTreeSet<String>>,
    /// Cuts connections.
    pub cut: bool,
    /// Tells clients to go, and lets them in again.
    pub drain: bool,
    /// Whose, with `cut`, `drain` and `expire_tokens`.
    pub subject: Option<String>,
    /// How many of the next acks are lost.
    pub lose_acks: Option<u64>,
    /// Expires the tokens of connections, until reset.
    pub expire_tokens: bool,
    /// Switches everything off, before the rest of this request.
    pub reset: bool,
}

impl Strike {
    /// Whether it strikes a connection of this subject; one that has not said who it is yet has none.
    pub fn is_for(&self, subject: Option<&str>) -> bool {
        let (Self::Cut { subject: only } | Self::Drain { subject: only } | Self::ExpireToken { subject: only }) = self;
        only.is_none() || only.as_deref() == subject
    }
}

impl FaultRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let request: Self = serde_json::from_str(text).map_err(|error| {
            format!(
                "{error}; known: service_delay_ms {{name: ms}}, service_fail [name], impair [name], lose_acks n, \
                 cut true, drain true, expire_tokens true (these with an optional subject), reset true"
            )
        })?;
        if request.subject.is_some() && !request.cut && !request.drain && !request.expire_tokens {
            return Err("`subject` goes with `cut`, `drain` or `expire_tokens`: true".to_owned());
        }
        if request == Self::default() {
            return Err("nothing to switch".to_owned());
        }
        Ok(request)
    }

    /// A service that is named, but not among `known`.
    pub fn stranger<'a>(&'a self, known: &[&str]) -> Option<&'a str> {
        let delays = self.service_delay_ms.iter().flat_map(BTreeMap::keys);
        let others = self.service_fail.iter().chain(&self.impair).flatten();
        delays.chain(others).map(String::as_str).find(|name| !known.contains(name))
    }
}

/// The switches of one server.
#[derive(Debug)]
pub struct Faults {
    switches: watch::Sender<Switches>,
    strikes: broadcast::Sender<Strike>,
    lost_acks: AtomicU64,
    expired: Mutex<BTreeSet<TokenHash>>,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            switches: watch::Sender::new(Switches::default()),
            strikes: broadcast::Sender::new(64),
            lost_acks: AtomicU64::new(0),
            expired: Mutex::default(),
        }
    }
}

impl Faults {
    /// Carries a request out.
    pub fn apply(&self, request: FaultRequest) {
        let FaultRequest {
            service_delay_ms,
            service_fail,
            impair,
            cut,
            drain,
            subject,
            lose_acks,
            expire_tokens,
            reset,
        } = request;
        self.switches.send_if_modified(|switches| {
            let before = switches.clone();
            if reset {
                *switches = Switches::default();
            }
            if let Some(delays) = service_delay_ms {
                switches.delays =
                    delays.into_iter().map(|(name, delay)| (name, Duration::from_millis(delay))).collect();
            }
            if let Some(failing) = service_fail {
                switches.failing = failing;
            }
            if let Some(impaired) = impair {
                switches.impaired = impaired;
            }
            *switches != before
        });
        if reset {
            self.lost_acks.store(0, Ordering::Relaxed);
            self.expired().clear();
        }
        if let Some(count) = lose_acks {
            self.lost_acks.store(count, Ordering::Relaxed);
        }
        // Nobody listening means no connection to strike.
        if expire_tokens {
            let _ = self.strikes.send(Strike::ExpireToken { subject: subject.clone() });
        }
        if drain {
            let _ = self.strikes.send(Strike::Drain { subject: subject.clone() });
        }
        if cut {
            let _ = self.strikes.send(Strike::Cut { subject });
        }
    }

    /// What is switched on, now and later.
    pub fn switches(&self) -> watch::Receiver<Switches> {
        self.switches.subscribe()
    }

    /// What strikes from now on.
    pub fn strikes(&self) -> broadcast::Receiver<Strike> {
        self.strikes.subscribe()
    }

    /// This token has expired, whatever it says, until reset: only a fresh one helps. Called by the connections that
    /// are struck, since only they know their tokens.
    pub fn expire(&self, token: TokenHash) {
        self.expired().insert(token);
    }

    /// Whether a token was struck.
    pub fn has_expired(&self, token: &TokenHash) -> bool {
        self.expired().contains(token)
    }

    fn expired(&self) -> MutexGuard<'_, BTreeSet<TokenHash>> {
        self.expired.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are acks left to lose.
    pub fn loses_acks(&self) -> bool {
        self.lost_acks.load(Ordering::Relaxed) > 0
    }

    /// Whether this ack is one of those to lose.
    pub fn loses_ack(&self) -> bool {
        self.lost_acks.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_and_wrong_ones_explained() {
        let request = FaultRequest::parse(r#"{"service_delay_ms": {"search": 3000}, "lose_acks": 2}"#).unwrap();
        assert_eq!(request.service_delay_ms.unwrap()["search"], 3000);
        let error = FaultRequest::parse(r#"{"slow": true}"#).unwrap_err();
        assert!(error.contains("`slow`") && error.contains("service_delay_ms"), "{error}");
        assert!(FaultRequest::parse("{}").unwrap_err().contains("nothing"));
        assert!(FaultRequest::parse(r#"{"subject": "alice"}"#).unwrap_err().contains("cut"));
    }

    #[test]
    fn switches_stay_until_reset_and_strikes_happen_once() {
        let faults = Faults::default();
        let mut strikes = faults.strikes();
        faults.apply(FaultRequest::parse(r#"{"impair": ["search"], "lose_acks": 1}"#).unwrap());
        faults.apply(FaultRequest::parse(r#"{"cut": true, "subject": "alice"}"#).unwrap());
        faults.expire([7; 32]);
        assert!(faults.switches().borrow().impaired.contains("search"));
        assert!(faults.loses_ack());
        assert!(!faults.loses_ack());
        let strike = strikes.try_recv().unwrap();
        assert_eq!(strike, Strike::Cut { subject: Some("alice".to_owned()) });
        assert!(strike.is_for(Some("alice")) && !strike.is_for(Some("bob")) && !strike.is_for(None));
        assert!(strikes.try_recv().is_err());
        assert!(faults.has_expired(&[7; 32]));
        faults.apply(FaultRequest::parse(r#"{"reset": true}"#).unwrap());
        assert_eq!(*faults.switches().borrow(), Switches::default());
        assert!(!faults.has_expired(&[7; 32]));
    }

    #[test]
    fn services_that_nobody_knows_are_found() {
        let request = FaultRequest::parse(r#"{"service_delay_ms": {"serach": 3000}, "impair": ["search"]}"#).unwrap();
        assert_eq!(request.stranger(&["search"]), Some("serach"));
        assert_eq!(request.stranger(&["search", "serach"]), None);
    }
}
