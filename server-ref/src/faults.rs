//! Fault switches for demonstrations and tests. Without `--faults` nothing can reach them over the network.

use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{broadcast, watch};

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
    /// As if the token had expired at this moment. The same token is taken again afterwards.
    ExpireTokens,
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
    /// Whose, with `cut`.
    pub subject: Option<String>,
    /// How many of the next acks are lost.
    pub lose_acks: Option<u64>,
    /// Expires the token of every connection.
    pub expire_tokens: bool,
    /// Switches everything off, before the rest of this request.
    pub reset: bool,
}

impl FaultRequest {
    /// Reads a request.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn parse(text: &str) -> Result<Self, String> {
        let request: Self = serde_json::from_str(text).map_err(|error| {
            format!(
                "{error}; known: service_delay_ms {{name: ms}}, service_fail [name], impair [name], cut true \
                 (with subject), lose_acks n, expire_tokens true, reset true"
            )
        })?;
        if request.subject.is_some() && !request.cut {
            return Err("`subject` goes with `cut`: true".to_owned());
        }
        if request == Self::default() {
            return Err("nothing to switch".to_owned());
        }
        Ok(request)
    }
}

/// The switches of one server.
#[derive(Debug)]
pub struct Faults {
    switches: watch::Sender<Switches>,
    strikes: broadcast::Sender<Strike>,
    lost_acks: AtomicU64,
}

impl Default for Faults {
    fn default() -> Self {
        Self {
            switches: watch::Sender::new(Switches::default()),
            strikes: broadcast::Sender::new(64),
            lost_acks: AtomicU64::new(0),
        }
    }
}

impl Faults {
    /// Carries a request out.
    pub fn apply(&self, request: FaultRequest) {
        let FaultRequest { service_delay_ms, service_fail, impair, cut, subject, lose_acks, expire_tokens, reset } =
            request;
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
        }
        if let Some(count) = lose_acks {
            self.lost_acks.store(count, Ordering::Relaxed);
        }
        // Nobody listening means no connection to strike.
        if cut {
            let _ = self.strikes.send(Strike::Cut { subject });
        }
        if expire_tokens {
            let _ = self.strikes.send(Strike::ExpireTokens);
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
        assert!(faults.switches().borrow().impaired.contains("search"));
        assert!(faults.loses_ack());
        assert!(!faults.loses_ack());
        assert_eq!(strikes.try_recv(), Ok(Strike::Cut { subject: Some("alice".to_owned()) }));
        assert!(strikes.try_recv().is_err());
        faults.apply(FaultRequest::parse(r#"{"reset": true}"#).unwrap());
        assert_eq!(*faults.switches().borrow(), Switches::default());
    }
}
