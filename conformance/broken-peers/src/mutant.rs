//! What a mutant is: the data in `mutants/server` and `mutants/client`.

use readywire_protocol::clause::{Clause, Side};
use serde::Deserialize;
use std::path::Path;

/// What stands for the switch in a replacement.
pub const SWITCH: &str = "BROKEN";

/// A peer that breaks one rule.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mutant {
    /// `clause/slug`, unique for its side.
    pub id: String,
    /// What it does wrong, in a sentence.
    pub does: String,
    /// The case that has to fail.
    pub case: String,
    /// The failures of real systems that it repeats, by their numbers in `FAILURES.md`.
    #[serde(default)]
    pub failures: Vec<u8>,
    /// What is changed in the sources.
    pub change: Vec<Change>,
    /// Which peer it is.
    #[serde(skip)]
    pub side: Option<Side>,
}

/// One place in the sources.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// From the root of the workspace.
    pub file: String,
    /// What stands there, exactly once.
    pub find: String,
    /// What stands there in the copy; `BROKEN` in it is true for this mutant, and false for all others.
    pub replace: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    #[serde(default)]
    mutant: Vec<Mutant>,
}

impl Mutant {
    /// The clause that it breaks.
    pub fn clause(&self) -> Option<Clause> {
        let id = self.id.split_once('/')?.0;
        Clause::ALL.iter().copied().find(|clause| clause.id() == id)
    }

    /// Which side it is on: a server, unless it was listed as a client.
    pub fn side(&self) -> Side {
        self.side.unwrap_or(Side::Server)
    }

    /// What turns it on, unique among all mutants.
    pub fn switch(&self) -> String {
        format!("{}:{}", self.side().name(), self.id)
    }
}

/// Reads one file of mutants.
///
/// # Errors
/// It is no list of mutants.
pub fn parse(text: &str, side: Side) -> Result<Vec<Mutant>, String> {
    let listed: Listed = toml::from_str(text).map_err(|error| error.to_string())?;
    Ok(listed.mutant.into_iter().map(|mutant| Mutant { side: Some(side), ..mutant }).collect())
}

/// Every mutant below `folder`, in the order of the specification, servers first; of the lists whose path contains
/// `only`.
///
/// # Errors
/// A list cannot be read.
pub fn all(folder: &Path, only: &str) -> Result<Vec<Mutant>, String> {
    let mut mutants = Vec::new();
    for (side, name) in [(Side::Server, "server"), (Side::Client, "client")] {
        let lists = std::fs::read_dir(folder.join(name)).map_err(|error| format!("{}: {error}", folder.display()))?;
        for list in lists {
            let path = list.map_err(|error| error.to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "toml") && path.to_string_lossy().contains(only) {
                let wrong = |error: String| format!("{}: {error}", path.display());
                let text = std::fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
                mutants.extend(parse(&text, side).map_err(wrong)?);
            }
        }
    }
    let place = |mutant: &Mutant| Clause::ALL.iter().position(|clause| Some(*clause) == mutant.clause());
    mutants.sort_by_key(|mutant| (mutant.side() == Side::Client, place(mutant), mutant.id.clone()));
    Ok(mutants)
}
