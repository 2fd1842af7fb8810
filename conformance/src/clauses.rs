//! How the breach of each clause is seen: `clauses.toml`.

use serde::Deserialize;
use std::collections::BTreeMap;

const LIST: &str = include_str!("../clauses.toml");

/// How the breach of a clause is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// By whoever is at the other end.
    Wire,
    /// Through what the testee reports.
    Testee,
    /// By nobody outside.
    Inspection,
}

impl Kind {
    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Wire => "wire",
            Kind::Testee => "testee",
            Kind::Inspection => "inspection",
        }
    }
}

/// A clause in the list.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seen {
    /// How its breach is seen.
    pub kind: Kind,
    /// How this project keeps what nobody outside sees.
    pub held: Option<String>,
    /// Why there is no case for what could be seen.
    pub untried: Option<String>,
}

/// Every clause, by its id.
///
/// # Errors
/// The list is wrong, which the tests of this crate would have shown.
pub fn list() -> Result<BTreeMap<String, Seen>, String> {
    let families: BTreeMap<String, BTreeMap<String, Seen>> = toml::from_str(LIST).map_err(|error| error.to_string())?;
    let named = families
        .into_iter()
        .flat_map(|(family, clauses)| clauses.into_iter().map(move |(name, seen)| (format!("{family}.{name}"), seen)));
    Ok(named.collect())
}
