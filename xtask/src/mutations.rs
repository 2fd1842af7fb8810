//! `cargo xtask mutate`: breaks the protocol's core on purpose, one promise at a time, and sees which test notices.
//!
//! It works on a copy below `target`, whose build stays warm, and never touches the sources themselves.

mod list;

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::{Outcome, process, signals, workspace};
use list::{MUTATIONS, Mutation};

/// A mutation may make a test run for ever: that is noticed, too.
const PATIENCE: Duration = Duration::from_secs(300);
/// The crate, and what its tests read of others: FAILURES.md and FEATURES.md name tests and cases of theirs.
const COPIED: [&str; 8] = [
    "sdk/protocol",
    "sdk/client/src",
    "sdk/client/tests",
    "sdk/js/tests",
    "server-ref/src",
    "server-ref/tests",
    "web-demo/tests",
    "conformance/cases",
];
/// Every test of the crate.
const ALL: &[&str] = &["--lib", "--tests"];
/// The tests that notice most mutations, and are built in a moment. Only what they miss is shown to all.
const FIRST: &[&str] = &["--test", "simulation"];
/// How many of the tests that noticed are named.
const NAMED: usize = 3;

/// What the tests said to a mutation.
enum Verdict {
    /// By these tests.
    Caught(Vec<String>),
    /// Some test did not come to an end.
    Hangs,
    NotCaught,
}

/// Tries every mutation whose file or promise contains `only`.
pub(crate) fn run(only: &str) -> Outcome<ExitCode> {
    let chosen: Vec<&Mutation> =
        MUTATIONS.iter().filter(|one| one.breaks.contains(only) || one.file.contains(only)).collect();
    if chosen.is_empty() {
        return Err(format!("no mutation mentions `{only}`"));
    }
    let copy = Copy::make()?;
    println!("  without any mutation");
    match copy.test(ALL)? {
        Verdict::NotCaught => {}
        Verdict::Caught(tests) => return Err(format!("the tests fail without any mutation: {}", tests.join(", "))),
        Verdict::Hangs => return Err("the tests do not end without any mutation".to_owned()),
    }
    let mut missed = 0;
    for (index, mutation) in chosen.iter().enumerate() {
        let begun = Instant::now();
        let verdict = copy.try_out(mutation)?;
        let words = match verdict {
            Verdict::Caught(tests) => format!("caught by {}", named(&tests)),
            Verdict::Hangs => format!("caught: a test is still running after {} s", PATIENCE.as_secs()),
            Verdict::NotCaught => {
                missed += 1;
                "NOT CAUGHT".to_owned()
            }
        };
        println!(
            "{:>3}/{} {} ({}, {:.0} s)\n        {words}",
            index + 1,
            chosen.len(),
            mutation.breaks,
            mutation.file,
            begun.elapsed().as_secs_f64()
        );
    }
    println!("\n{} mutations, {missed} not caught", chosen.len());
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named(tests: &[String]) -> String {
    let first = tests.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match tests.len().saturating_sub(NAMED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// A workspace of its own with nothing in it but the protocol.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn make() -> Outcome<Self> {
        let (from, root) = (workspace::root(), workspace::root().join("target/mutations"));
        let manifest = read(&from.join("Cargo.toml"))?;
        write(&root.join("Cargo.toml"), alone(&manifest)?)?;
        write(&root.join("Cargo.lock"), read(&from.join("Cargo.lock"))?)?;
        for folder in COPIED {
            mirror(&from.join(folder), &root.join(folder))?;
        }
        Ok(Self { root })
    }

    fn try_out(&self, mutation: &Mutation) -> Outcome<Verdict> {
        let path = self.root.join("sdk/protocol/src").join(mutation.file);
        let original = read(&path)?;
        write(&path, mutation.apply(&original)?)?;
        let verdict = match self.test(FIRST) {
            Ok(Verdict::NotCaught) => self.test(ALL),
            other => other,
        };
        // Whatever came of it: the next one starts from what it was.
        write(&path, &original)?;
        verdict
    }

    fn test(&self, tests: &[&str]) -> Outcome<Verdict> {
        let (said, errors) = (self.root.join("said.log"), self.root.join("errors.log"));
        let mut command = process::cargo();
        command
            .current_dir(&self.root)
            .args(["test", "-p", "readywire-protocol", "--no-fail-fast", "--target-dir"])
            .arg(self.root.join("target"))
            .args(tests)
            .env_remove("READYWIRE_SEED")
            .env_remove("READYWIRE_SEEDS")
            .stdout(create(&said)?)
            .stderr(create(&errors)?)
            .process_group(0);
        let mut child = command.spawn().map_err(|error| process::cannot_start(&command, &error))?;
        let watch = signals::forward_to(child.id());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
                break Some(status);
            }
            if begun.elapsed() > PATIENCE || signals::asked_to_stop() {
                // Not cargo alone: the test that it runs would go on.
                signals::terminate_group(child.id());
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        drop(watch);
        if signals::asked_to_stop() {
            // Cargo may be gone already, and what it started may not.
            signals::terminate_group(child.id());
            return Err("interrupted".to_owned());
        }
        let Some(status) = status else { return Ok(Verdict::Hangs) };
        let errors = read(&errors)?;
        if errors.contains("could not compile") {
            return Err(format!("it does not compile:\n{errors}"));
        }
        let failed = failed(&read(&said)?);
        if status.success() {
            return Ok(Verdict::NotCaught);
        }
        // A test binary that died has no list of what failed.
        Ok(Verdict::Caught(if failed.is_empty() { vec!["a test that did not survive it".to_owned()] } else { failed }))
    }
}

impl Mutation {
    fn apply(&self, source: &str) -> Outcome<String> {
        match source.matches(self.text).count() {
            1 => Ok(source.replace(self.text, self.replacement)),
            count => Err(format!("{}: {count} places instead of one for “{}”: {}", self.file, self.breaks, self.text)),
        }
    }
}

/// The names in lines like `test wire::gap ... FAILED`; behind that of a simulation, the property that did not hold.
fn failed(said: &str) -> Vec<String> {
    let name = |line: &str| Some(line.strip_prefix("test ")?.strip_suffix(" ... FAILED")?.to_owned());
    let mut names: Vec<String> = said.lines().filter_map(name).collect();
    let mut speaks = "";
    for line in said.lines() {
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            speaks = name;
        } else if let Some(property) = line.strip_prefix("violated: ") {
            for name in names.iter_mut().filter(|name| *name == speaks) {
                *name = format!("{name}: “{property}”");
            }
        }
    }
    names
}

/// The workspace's manifest with the protocol as its only member.
fn alone(manifest: &str) -> Outcome<String> {
    let mut found = false;
    let lines = manifest.lines().map(|line| {
        if line.starts_with("members = ") {
            found = true;
            return "members = [\"sdk/protocol\"]";
        }
        line
    });
    let text = lines.collect::<Vec<_>>().join("\n") + "\n";
    if found { Ok(text) } else { Err("Cargo.toml has no line `members = […]`".to_owned()) }
}

/// Makes `to` what `from` is; what is the same keeps its time, so that nothing is built again for nothing.
fn mirror(from: &Path, to: &Path) -> Outcome {
    let entries = std::fs::read_dir(from).map_err(|error| format!("{}: {error}", from.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| error.to_string())?.path();
        let Some(name) = path.file_name() else { continue };
        names.push(name.to_owned());
        if path.is_dir() {
            mirror(&path, &to.join(name))?;
        } else {
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            write(&to.join(name), bytes)?;
        }
    }
    // What was deleted there must not be tested here.
    for entry in std::fs::read_dir(to).into_iter().flatten().flatten() {
        let path = entry.path();
        if !names.contains(&entry.file_name()) {
            let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
            removed.map_err(|error| format!("{}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Outcome {
    let bytes = bytes.as_ref();
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(path, bytes))
        .map_err(|error| format!("{}: {error}", path.display()))
}

fn create(path: &Path) -> Outcome<File> {
    File::create(path).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutation_fits_the_sources() {
        for mutation in MUTATIONS {
            let source = read(&workspace::root().join("sdk/protocol/src").join(mutation.file)).unwrap();
            let mutated = mutation.apply(&source).unwrap();
            assert_ne!(mutated, source, "{}", mutation.breaks);
        }
    }

    #[test]
    fn a_mutation_has_exactly_one_place() {
        let mutation = Mutation { file: "f.rs", text: "a", replacement: "b", breaks: "order" };
        assert_eq!(mutation.apply("xay").as_deref(), Ok("xby"));
        assert!(mutation.apply("aa").unwrap_err().contains("2 places"));
        assert!(mutation.apply("x").unwrap_err().contains("0 places"));
    }

    #[test]
    fn failed_tests_are_found_by_name() {
        let said = "test frames::order ... ok\ntest wire::gap ... FAILED\ntest result: FAILED. 1 passed";
        assert_eq!(failed(said), ["wire::gap"]);
        let said = "test gap ... FAILED\ntest worlds ... FAILED\n---- worlds stdout ----\nviolated: processed once\n";
        assert_eq!(failed(said), ["gap", "worlds: “processed once”"]);
    }

    #[test]
    fn the_copy_has_one_member() {
        let manifest = "[workspace]\nmembers = [\"a\", \"b\"]\n";
        assert_eq!(alone(manifest).as_deref(), Ok("[workspace]\nmembers = [\"sdk/protocol\"]\n"));
        assert!(alone("[workspace]\n").is_err());
    }
}
