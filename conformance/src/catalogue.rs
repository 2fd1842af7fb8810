//! Every case, from the files that are built in or from a folder.

use crate::case::{Case, parse};
use include_dir::{Dir, include_dir};
use readywire_protocol::clause::Side;
use std::collections::BTreeSet;
use std::path::Path;

static BUILT_IN: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/cases");

/// The cases that are built in.
///
/// # Errors
/// A file is wrong, which the tests of this crate would have shown.
pub fn built_in() -> Result<Vec<Case>, String> {
    let mut files = Vec::new();
    for (folder, side) in [("server", Side::Server), ("client", Side::Client)] {
        for file in BUILT_IN.get_dir(folder).into_iter().flat_map(|folder| folder.files()) {
            if file.path().extension().is_none_or(|extension| extension != "toml") {
                continue;
            }
            let text = file.contents_utf8().ok_or_else(|| format!("{} is no text", file.path().display()))?;
            files.push((file.path().display().to_string(), text.to_owned(), side));
        }
    }
    read(files)
}

/// The cases of a folder, which has `server` and `client` in it.
///
/// # Errors
/// A file cannot be read, or is wrong.
pub fn of_folder(folder: &Path) -> Result<Vec<Case>, String> {
    let mut files = Vec::new();
    for (name, side) in [("server", Side::Server), ("client", Side::Client)] {
        let folder = folder.join(name);
        if !folder.is_dir() {
            continue;
        }
        let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
                files.push((path.display().to_string(), text, side));
            }
        }
    }
    if files.is_empty() {
        return Err(format!("{} holds no cases: expected server/*.toml or client/*.toml", folder.display()));
    }
    read(files)
}

fn read(files: Vec<(String, String, Side)>) -> Result<Vec<Case>, String> {
    let mut cases = Vec::new();
    for (name, text, side) in files {
        cases.extend(parse(&text, side).map_err(|error| format!("{name}: {error}"))?);
    }
    cases.sort_by(|left, right| {
        (left.side as u8, left.clause, &left.id).cmp(&(right.side as u8, right.clause, &right.id))
    });
    let mut seen = BTreeSet::new();
    for case in &cases {
        if !seen.insert((case.side as u8, case.id.clone())) {
            return Err(format!("the id `{}` stands twice", case.id));
        }
    }
    Ok(cases)
}
