//! FAILURES.md and FEATURES.md name what shows that they are true: it has to exist.

use std::path::{Path, PathBuf};

const FAILURES: &str = include_str!("../FAILURES.md");
const FEATURES: &str = include_str!("../FEATURES.md");

#[test]
fn every_failure_names_a_test() {
    let rows = rows(FAILURES, "#");
    for (index, cells) in rows.iter().enumerate() {
        assert_eq!(cells[0], (index + 1).to_string(), "numbered in order: {cells:?}");
        let named = quoted(cells[3]);
        let [file, test] = named[..] else { panic!("a file and a test: {cells:?}") };
        assert_test(file, test);
    }
    assert_eq!(rows.len(), 21);
}

#[test]
fn every_feature_names_what_shows_it() {
    let mut shown = 0;
    for heading in ["feature", "trouble"] {
        for cells in rows(FEATURES, heading) {
            let (answer, named) = (cells[2], quoted(cells[3]));
            match answer.split([' ', ',', ':']).next().unwrap_or_default() {
                "yes" | "partly" => assert!(!named.is_empty(), "nothing shows it: {cells:?}"),
                "no" => assert!(named.is_empty(), "what is not there cannot be shown: {cells:?}"),
                _ => panic!("yes, partly or no: {cells:?}"),
            }
            let mut named = named.into_iter();
            while let Some(name) = named.next() {
                if Path::new(name).extension().is_none() {
                    assert_case(name);
                } else {
                    assert_test(name, named.next().unwrap_or_else(|| panic!("a file without a test: {cells:?}")));
                }
                shown += 1;
            }
        }
    }
    assert!(shown > 100, "only {shown} were looked for");
}

/// The rows of the tables whose first column has this heading, without head and line.
fn rows<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let head = format!("| {heading} |");
    let mut rows = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if !line.starts_with(&head) {
            continue;
        }
        // A table ends with its last line that is one.
        for row in lines.by_ref().take_while(|line| line.starts_with('|')).skip(1) {
            rows.push(row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
        }
    }
    // Four columns have what shows it in the last; the table of what is left out has three.
    rows.retain(|cells| cells.len() == 4);
    rows
}

/// Every text between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn assert_test(file: &str, test: &str) {
    let source = read(&root().join(file));
    let found = if file.ends_with(".rs") {
        source.split_once(&format!("fn {test}()")).is_some_and(|(before, _)| {
            // The attributes stand right above it: a helper is no test.
            let above = before.rsplit_once('\n').map_or("", |(above, _)| above);
            above.lines().rev().take_while(|line| line.trim().starts_with('#')).any(|line| line.contains("test"))
        })
    } else {
        source.contains(&format!("\ntest(\"{test}\""))
    };
    assert!(found, "{file} has no test {test}");
}

fn assert_case(id: &str) {
    let line = format!("id = \"{id}\"");
    let found = ["server", "client"].iter().any(|side| {
        let folder = root().join("conformance/cases").join(side);
        let files = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        files.map(|file| read(&file.unwrap().path())).any(|cases| cases.lines().any(|found| found == line))
    });
    assert!(found, "the suite has no case {id}");
}
