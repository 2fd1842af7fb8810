//! The lists of mutants, held against the specification, the cases, the failures and the sources.

use readywire_broken_peers::copy;
use readywire_broken_peers::mutant::{self, Mutant};
use readywire_broken_peers::table;
use readywire_conformance::case::Case;
use readywire_conformance::{catalogue, clauses};
use readywire_protocol::clause::{Clause, Side, Strength};
use std::collections::BTreeSet;
use std::path::Path;

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const FAILURES: &str = include_str!("../../../sdk/protocol/FAILURES.md");

fn mutants() -> Vec<Mutant> {
    mutant::all(&Path::new(FOLDER).join("mutants"), "").expect("the lists are read")
}

fn cases() -> Vec<Case> {
    catalogue::built_in().expect("cases")
}

/// The rules that bind a side and have cases for it, and that no mutant of this side breaks.
fn without_mutant(side: Side) -> Vec<&'static str> {
    let (mutants, cases) = (mutants(), cases());
    let wanted = Clause::ALL.iter().filter(|clause| {
        let binds = clause.side() == side || clause.side() == Side::Both;
        binds
            && clause.strength() == Strength::Must
            && cases.iter().any(|case| case.side == side && case.clause == **clause)
    });
    let broken: BTreeSet<Clause> =
        mutants.iter().filter(|mutant| mutant.side() == side).filter_map(Mutant::clause).collect();
    wanted.filter(|clause| !broken.contains(clause)).map(|clause| clause.id()).collect()
}

#[test]
fn every_rule_that_binds_servers_is_broken_by_one() {
    assert_eq!(without_mutant(Side::Server), [""; 0]);
}

#[test]
fn every_rule_that_binds_clients_is_broken_by_one() {
    assert_eq!(without_mutant(Side::Client), [""; 0]);
}

#[test]
fn every_failure_of_real_systems_is_repeated() {
    let listed = FAILURES.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u8>().ok());
    let listed: BTreeSet<u8> = listed.collect();
    assert_eq!(listed.len(), 21);
    let repeated: BTreeSet<u8> = mutants().iter().flat_map(|mutant| mutant.failures.clone()).collect();
    assert_eq!(repeated, listed);
}

#[test]
fn each_breaks_a_clause_and_names_a_case_of_its_side() {
    let (cases, seen) = (cases(), clauses::list().expect("clauses.toml"));
    for mutant in mutants() {
        let switch = mutant.switch();
        assert!(mutant.clause().is_some_and(|clause| seen.contains_key(clause.id())), "{switch}: no such clause");
        let named = cases.iter().any(|case| case.side == mutant.side() && case.id == mutant.case);
        assert!(named, "{switch}: there is no case {}", mutant.case);
        assert!(mutant.change.iter().any(|change| change.replace.contains(mutant::SWITCH)), "{switch} has no switch");
    }
}

#[test]
fn the_page_is_the_one_that_is_printed() {
    const PAGE: &str = include_str!("../../MUTANTS.md");
    let help = "run `cargo xtask broken-peers --page > conformance/MUTANTS.md`";
    assert!(PAGE == table::page(&mutants()), "MUTANTS.md is not what the lists say: {help}");
}

#[test]
fn each_has_a_name_of_its_own() {
    let names: Vec<String> = mutants().iter().map(Mutant::switch).collect();
    let different: BTreeSet<&String> = names.iter().collect();
    assert_eq!(different.len(), names.len());
}

#[test]
fn every_change_fits_the_sources() {
    let root = Path::new(FOLDER).ancestors().nth(2).expect("the workspace");
    let changed = copy::sources(root, &mutants()).expect("every change fits");
    for mutant in mutants() {
        let switch = format!("{:?}", mutant.switch());
        assert!(changed.values().any(|source| source.contains(&switch)), "{switch}");
    }
}
