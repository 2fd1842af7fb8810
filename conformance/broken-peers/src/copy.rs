//! The copy of the workspace in which every mutant's change is made.

use crate::mutant::{Mutant, SWITCH};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What the peers are built from.
const CRATES: [&str; 5] = [
    "sdk/protocol",
    "sdk/client",
    "server-ref",
    "conformance/testees/reference-server",
    "conformance/testees/rust-client",
];
/// The crate that every other stands on, and so the home of the switch.
const HOME: &str = "sdk/protocol/src/lib.rs";
const SWITCHES: &str = "sdk/protocol/src/broken.rs";
/// The environment variable that turns a mutant on.
pub const VARIABLE: &str = "READYWIRE_BROKEN";

/// The peers, built.
#[derive(Clone, Debug)]
pub struct Peers {
    /// The reference server.
    pub server: PathBuf,
    /// The Rust client's testee.
    pub client: PathBuf,
}

/// Copies the workspace at `from` to `to`, makes every change, and builds both peers.
///
/// # Errors
/// A change does not fit the sources, or the copy does not compile.
pub fn build(from: &Path, to: &Path, mutants: &[Mutant]) -> Result<Peers, String> {
    let mut changed = sources(from, mutants)?;
    write(&to.join("Cargo.toml"), alone(&read(&from.join("Cargo.toml"))?)?.as_bytes())?;
    if !to.join("Cargo.lock").is_file() {
        write(&to.join("Cargo.lock"), read(&from.join("Cargo.lock"))?.as_bytes())?;
    }
    for folder in CRATES {
        mirror(from, to, Path::new(folder), &mut changed)?;
    }
    write(&to.join(SWITCHES), SWITCHES_TEXT.as_bytes())?;
    let binaries = ["readywire-conformance-server", "readywire-testee"];
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(to).arg("build").arg("--target-dir").arg(to.join("target")).stdin(Stdio::null());
    // A change may well leave something unused.
    cargo.env("RUSTFLAGS", "-Awarnings");
    for binary in binaries {
        cargo.args(["-p", binary]);
    }
    let status = cargo.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        return Err("the copy with the mutants does not compile; see above".to_owned());
    }
    let [server, client] = binaries.map(|name| to.join("target/debug").join(name));
    Ok(Peers { server, client })
}

/// The sources with every change made, by their paths in the workspace.
///
/// # Errors
/// A change does not fit: what it looks for is not there exactly once, or another mutant changes the same text.
pub fn sources(from: &Path, mutants: &[Mutant]) -> Result<BTreeMap<String, String>, String> {
    let mut edits: BTreeMap<&str, Vec<Edit>> = BTreeMap::new();
    for mutant in mutants {
        for change in &mutant.change {
            let source = read(&from.join(&change.file))?;
            let found: Vec<usize> = source.match_indices(&change.find).map(|(at, _)| at).collect();
            let [at] = found[..] else {
                return Err(format!(
                    "{}: {} has {} places instead of one for:\n{}",
                    mutant.switch(),
                    change.file,
                    found.len(),
                    change.find
                ));
            };
            let switch = format!("::readywire_protocol::broken::is({:?})", mutant.switch());
            let text = change.replace.replace(SWITCH, &switch);
            edits.entry(&change.file).or_default().push(Edit { at, end: at + change.find.len(), text, whose: mutant });
        }
    }
    let mut changed = BTreeMap::new();
    for (file, edits) in edits {
        changed.insert(file.to_owned(), edited(&read(&from.join(file))?, edits)?);
    }
    let home = match changed.remove(HOME) {
        Some(home) => home,
        None => read(&from.join(HOME))?,
    };
    changed.insert(
        HOME.to_owned(),
        format!("{home}\n#[doc(hidden)]\npub mod broken;\nextern crate self as readywire_protocol;\n"),
    );
    Ok(changed)
}

struct Edit<'a> {
    at: usize,
    end: usize,
    text: String,
    whose: &'a Mutant,
}

fn edited(source: &str, mut edits: Vec<Edit<'_>>) -> Result<String, String> {
    edits.sort_by_key(|edit| edit.at);
    if let Some(pair) = edits.windows(2).find(|pair| pair[0].end > pair[1].at) {
        return Err(format!(
            "{} and {} change the same text: let one of them change less, or another place",
            pair[0].whose.switch(),
            pair[1].whose.switch()
        ));
    }
    let mut text = source.to_owned();
    for edit in edits.iter().rev() {
        text.replace_range(edit.at..edit.end, &edit.text);
    }
    Ok(text)
}

const SWITCHES_TEXT: &str = r#"//! Which rule this process breaks.

/// Whether this mutant was chosen.
pub fn is(mutant: &str) -> bool {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    CHOSEN.get_or_init(|| std::env::var("READYWIRE_BROKEN").ok()).as_deref() == Some(mutant)
}
"#;

/// The workspace's manifest with only the peers' crates as members.
fn alone(manifest: &str) -> Result<String, String> {
    let members = manifest.lines().find(|line| line.starts_with("members = ")).ok_or("Cargo.toml has no members")?;
    let ours = CRATES.map(|name| format!("\"{name}\"")).join(", ");
    Ok(manifest.replace(members, &format!("members = [{ours}]")))
}

/// Makes the folder in the copy what it is in the workspace, with the changes; what is the same keeps its time.
fn mirror(from: &Path, to: &Path, folder: &Path, changed: &mut BTreeMap<String, String>) -> Result<(), String> {
    let mut names = Vec::new();
    for entry in entries(&from.join(folder))? {
        let name = entry.file_name().ok_or("a file without a name")?.to_owned();
        let path = folder.join(&name);
        let skipped = ["tests", "testees", "target", "node_modules", "examples"].iter().any(|skipped| name == *skipped);
        if entry.is_dir() {
            if !skipped {
                mirror(from, to, &path, changed)?;
            }
        } else {
            let bytes = match changed.remove(&path.to_string_lossy().into_owned()) {
                Some(text) => text.into_bytes(),
                None if name == "Cargo.toml" => without_tests(&read(&entry)?).into_bytes(),
                None => std::fs::read(&entry).map_err(|error| format!("{}: {error}", entry.display()))?,
            };
            write(&to.join(&path), &bytes)?;
        }
        names.push(name);
    }
    for entry in entries(&to.join(folder))? {
        let gone = entry.file_name().is_some_and(|name| !names.iter().any(|kept| kept == name));
        if gone && entry.is_file() && !entry.ends_with(SWITCHES) {
            std::fs::remove_file(&entry).map_err(|error| format!("{}: {error}", entry.display()))?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let wrong = |error: std::io::Error| format!("{}: {error}", folder.display());
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(wrong)? {
        paths.push(entry.map_err(wrong)?.path());
    }
    Ok(paths)
}

/// A manifest without what only its tests and benchmarks need.
fn without_tests(manifest: &str) -> String {
    let mut kept = true;
    let lines = manifest.lines().filter(|line| {
        if line.starts_with('[') {
            let tests = ["dev-dependencies]", "[[test]]", "[[bench]]", "[[example]]"];
            kept = !tests.iter().any(|section| line.ends_with(section));
        }
        kept
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), String> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutant(id: &str) -> Mutant {
        Mutant {
            id: id.to_owned(),
            does: String::new(),
            case: String::new(),
            failures: vec![],
            change: vec![],
            side: None,
        }
    }

    #[test]
    fn every_edit_is_made_where_it_was_found() {
        let (one, two) = (mutant("a/b"), mutant("c/d"));
        let edits = vec![
            Edit { at: 4, end: 7, text: "second".to_owned(), whose: &two },
            Edit { at: 0, end: 1, text: "first".to_owned(), whose: &one },
        ];
        assert_eq!(edited("a b two c", edits).as_deref(), Ok("first b second c"));
    }

    #[test]
    fn edits_of_the_same_text_are_refused() {
        let (one, two) = (mutant("a/b"), mutant("c/d"));
        let edits = vec![
            Edit { at: 0, end: 3, text: String::new(), whose: &one },
            Edit { at: 2, end: 4, text: String::new(), whose: &two },
        ];
        let refusal = edited("abcdef", edits).expect_err("they overlap");
        assert!(refusal.contains("server:a/b and server:c/d"), "{refusal}");
    }

    #[test]
    fn manifests_lose_their_tests_alone() {
        let manifest = "[package]\nname = \"a\"\n\n[dev-dependencies]\nb = \"1\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(without_tests(manifest), "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n");
    }
}
