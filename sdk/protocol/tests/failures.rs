//! FAILURES.md names a test for each failure: the tests have to exist.

use std::path::Path;

const DOCUMENT: &str = include_str!("../FAILURES.md");

#[test]
fn every_failure_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| # ")).enumerate();
    let mut count = 0;
    for (index, row) in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(cells[1], (index + 1).to_string(), "numbered in order: {row}");
        let named: Vec<&str> = cells[4].split('`').skip(1).step_by(2).collect();
        let [file, test] = named[..] else { panic!("a file and a test: {row}") };
        let source = std::fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("fn {test}()")), "{file} has no test {test}");
        count += 1;
    }
    assert_eq!(count, 21);
}
