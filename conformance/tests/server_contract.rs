//! The contract of a server under test: the page that states it, the settings and the cases say the same.

use readywire_conformance::case::{Case, Step};
use readywire_conformance::catalogue;
use readywire_conformance::settings::{SETTINGS, SUBJECTS};
use readywire_protocol::clause::Side;
use serde_json::Value;
use std::collections::BTreeSet;

const PAGE: &str = include_str!("../CERTIFY_SERVER.md");

/// The rows of the table under a heading, cell by cell, without quotes.
fn rows(heading: &str) -> Vec<Vec<String>> {
    let section = PAGE.split(&format!("\n### {heading}\n")).nth(1).unwrap_or_else(|| panic!("no `{heading}`"));
    let section = section.split("\n#").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(|cell| cell.trim().replace('`', "")).collect()).collect()
}

/// The names in the first column, which may hold several.
fn names(heading: &str) -> BTreeSet<String> {
    rows(heading).iter().flat_map(|row| row[0].split(", ").map(str::to_owned).collect::<Vec<_>>()).collect()
}

fn cases() -> Vec<Case> {
    catalogue::built_in().expect("cases").into_iter().filter(|case| case.side == Side::Server).collect()
}

/// The subjects and events that steps use.
fn used(steps: &[Step], found: &mut BTreeSet<String>) {
    let events = names("Events");
    for step in steps {
        match step {
            Step::Connect(connect) => {
                found.insert(connect.subject.clone().unwrap_or_else(|| "alice".to_owned()));
            }
            Step::Send(frame) => {
                let event = frame["event"].as_str().filter(|event| events.contains(*event));
                found.extend(event.map(str::to_owned));
            }
            Step::Text(text) => {
                let frame: Option<Value> = serde_json::from_str(text).ok();
                let event = frame.and_then(|frame| frame["event"].as_str().map(str::to_owned));
                found.extend(event.filter(|event| events.contains(event)));
            }
            Step::Token(another) => {
                found.insert(another.subject.clone());
            }
            Step::Repeat(repeat) => used(&repeat.steps, found),
            _ => {}
        }
    }
}

#[test]
fn the_page_has_the_settings_that_the_suite_would_like() {
    let listed = rows("Settings");
    let ours: Vec<Vec<String>> = SETTINGS
        .iter()
        .map(|(name, value, what)| vec![(*name).to_owned(), value.to_string(), what.replace('`', "")])
        .collect();
    assert_eq!(listed, ours);
}

#[test]
fn cases_use_what_the_page_has_and_declare_what_can_be_lacked() {
    let (subjects, events) = (names("Subjects"), names("Events"));
    // Every server under test has these.
    let given = ["alice", "echo"];
    for case in cases() {
        let mut uses = BTreeSet::new();
        used(&case.steps, &mut uses);
        for part in &uses {
            assert!(subjects.contains(part) || events.contains(part), "{} uses `{part}`, which no server has", case.id);
            let declared = given.contains(&part.as_str()) || case.requires.contains(part);
            assert!(declared, "{} uses `{part}` and does not require it", case.id);
        }
        for part in &case.requires {
            assert!(uses.contains(part) || part == "authorization", "{} requires `{part}` in vain", case.id);
        }
        for setting in &case.settings {
            assert!(SETTINGS.iter().any(|(name, _, _)| name == setting), "{}: no setting `{setting}`", case.id);
        }
    }
}

#[test]
fn nothing_on_the_page_is_asked_for_in_vain() {
    let mut uses = BTreeSet::new();
    cases().iter().for_each(|case| used(&case.steps, &mut uses));
    let offered: BTreeSet<String> = names("Subjects").into_iter().chain(names("Events")).collect();
    assert_eq!(offered, uses);
}

#[test]
fn the_page_has_the_subjects_that_the_suite_knows() {
    let known: BTreeSet<String> = SUBJECTS.iter().chain(&["alice"]).map(|subject| (*subject).to_owned()).collect();
    assert_eq!(names("Subjects"), known);
}

#[test]
fn what_disturbs_others_is_played_alone() {
    for case in cases() {
        let mut uses = BTreeSet::new();
        used(&case.steps, &mut uses);
        let disturbs = ["impair", "tell"].iter().any(|event| uses.contains(*event));
        assert!(!disturbs || case.conditions.alone, "{} disturbs others", case.id);
    }
}
