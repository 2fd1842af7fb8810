//! What a case needs of the run besides its peer: an idle server, one of its own, time.

use crate::case::{Step, level};
use readywire_protocol::clause::Level;
use serde::Deserialize;
use std::collections::BTreeSet;

/// Conditions of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Conditions {
    /// Settings whose time the case waits for, on top of the usual patience.
    pub waits_for: Vec<String>,
    /// It disturbs others, or would be disturbed: it runs after them, by itself.
    pub alone: bool,
    /// It stops the server or reads its log: it gets one that is started for it alone.
    pub own_server: bool,
    /// It needs this level, too.
    #[serde(deserialize_with = "known_level")]
    pub with: Option<Level>,
    /// It is about a server that does not have this level.
    #[serde(deserialize_with = "known_level")]
    pub without: Option<Level>,
}

fn known_level<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Level>, D::Error> {
    let name = String::deserialize(deserializer)?;
    level(&name).map(Some).ok_or_else(|| serde::de::Error::custom(format!("there is no level `{name}`")))
}

/// Subjects whose start-up is shared by their connections, so that cases about it would see each other's.
const SHARED: [&str; 1] = ["slow"];

/// The shared subjects that steps connect as.
pub(crate) fn shared_subjects(steps: &[Step]) -> BTreeSet<String> {
    let mut subjects = BTreeSet::new();
    for step in steps {
        match step {
            Step::Connect(connect) => {
                subjects.extend(connect.subject.clone().filter(|subject| SHARED.contains(&subject.as_str())));
            }
            Step::Repeat(repeat) => subjects.extend(shared_subjects(&repeat.steps)),
            _ => {}
        }
    }
    subjects
}
