//! `clauses.toml`, `COVERAGE.md` and the cases, held against the specification's clauses.

use readywire_conformance::clauses::{self, Kind, Seen};
use readywire_conformance::{catalogue, table};
use readywire_protocol::clause::{Clause, Side, Strength};
use std::collections::{BTreeMap, BTreeSet};

const COVERAGE: &str = include_str!("../COVERAGE.md");

fn list() -> BTreeMap<String, Seen> {
    clauses::list().expect("clauses.toml is read")
}

/// The clauses that bind a side, can be seen, and have no case.
fn without_case(side: Side) -> Vec<&'static str> {
    let list = list();
    let tried: BTreeSet<Clause> =
        catalogue::built_in().expect("cases").iter().filter(|case| case.side == side).map(|case| case.clause).collect();
    let binding = Clause::ALL.iter().filter(|clause| {
        let seen = &list[clause.id()];
        let binds = clause.side() == side || clause.side() == Side::Both;
        binds && clause.strength() == Strength::Must && seen.kind != Kind::Inspection && seen.untried.is_none()
    });
    binding.filter(|clause| !tried.contains(clause)).map(|clause| clause.id()).collect()
}

#[test]
fn every_clause_is_listed_and_no_other() {
    let listed: BTreeSet<String> = list().into_keys().collect();
    let ours: BTreeSet<String> = Clause::ALL.iter().map(|clause| clause.id().to_owned()).collect();
    assert_eq!(listed, ours);
}

#[test]
fn what_is_seen_by_inspection_says_how_it_is_held() {
    for (id, seen) in list() {
        let says = seen.held.is_some_and(|held| !held.is_empty());
        assert_eq!(says, seen.kind == Kind::Inspection, "{id}");
    }
}

#[test]
fn nothing_that_is_untried_has_cases() {
    let list = list();
    for case in catalogue::built_in().expect("cases") {
        assert!(list[case.clause.id()].untried.is_none(), "{} is said to be untried, and has {}", case.clause, case.id);
    }
}

#[test]
fn every_rule_that_binds_servers_has_a_case() {
    assert_eq!(without_case(Side::Server), [""; 0]);
}

#[test]
fn every_rule_that_binds_clients_has_a_case() {
    assert_eq!(without_case(Side::Client), [""; 0]);
}

#[test]
fn the_table_is_the_one_that_the_suite_prints() {
    let printed = table::markdown(&catalogue::built_in().expect("cases"), &list());
    let help = "run `readywire-conformance table > conformance/COVERAGE.md`";
    assert!(COVERAGE == printed, "COVERAGE.md is not what the suite prints: {help}");
}
