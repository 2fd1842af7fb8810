//! Which mutant is failed by which cases: the page of what each names, and the table of all that notice.

use crate::mutant::Mutant;
use crate::trial::Outcome;
use readywire_protocol::clause::Side;
use std::fmt::Write as _;

/// How many cases are named, besides the one that has to fail.
const NAMED: usize = 3;

/// The page of mutants, each with the case that has to fail it, as Markdown.
pub fn page(mutants: &[Mutant]) -> String {
    let mut text = String::from(PAGE);
    for (side, title) in [(Side::Server, "Servers"), (Side::Client, "Clients")] {
        let of_side: Vec<_> = mutants.iter().filter(|mutant| mutant.side() == side).collect();
        let _ = writeln!(text, "\n## {title}: {} mutants\n\n{PAGE_COLUMNS}", of_side.len());
        for Mutant { id, does, case, failures, .. } in of_side {
            let failures: Vec<String> = failures.iter().map(u8::to_string).collect();
            let _ = writeln!(text, "| `{id}` | {} | `{case}` | {} |", does.replace('|', "\\|"), failures.join(", "));
        }
    }
    text
}

const PAGE: &str = "\
# Which broken peer is failed by which case

Printed by `cargo xtask broken-peers --page`; a test sees to it that it is up to date. Each is the reference server or the
Rust client with one rule broken, and `cargo xtask test` fails unless the case in the third column fails it. The number is
that of the failure in [FAILURES.md](../sdk/protocol/FAILURES.md) that it repeats. `cargo xtask broken-peers --table` plays
every case with each, and writes down which others fail it.
";

const PAGE_COLUMNS: &str = "| mutant | what it does | has to fail | failure |\n|---|---|---|---|";

/// The table of mutants and cases, as Markdown.
pub fn markdown(trials: &[(Mutant, Outcome)]) -> String {
    let mut text = String::from(HEAD);
    for (side, title) in [(Side::Server, "Servers"), (Side::Client, "Clients")] {
        let of_side: Vec<_> = trials.iter().filter(|(mutant, _)| mutant.side() == side).collect();
        let _ = writeln!(text, "\n## {title}: {} mutants\n\n{COLUMNS}", of_side.len());
        for (mutant, outcome) in of_side {
            let failures: Vec<String> = mutant.failures.iter().map(u8::to_string).collect();
            let others: Vec<&String> = outcome.failed.iter().filter(|id| **id != mutant.case).collect();
            let named: Vec<String> = others.iter().take(NAMED).map(|id| format!("`{id}`")).collect();
            let more = match others.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let _ = writeln!(
                text,
                "| `{}` | {} | {} | {} | {}{more} |",
                mutant.id,
                mutant.does,
                failures.join(", "),
                if outcome.failed.contains(&mutant.case) {
                    format!("`{}`", mutant.case)
                } else {
                    "**survives**".to_owned()
                },
                named.join(", ")
            );
        }
    }
    text
}

const HEAD: &str = "\
# Which broken peer is failed by which cases

Printed by `cargo xtask broken-peers --table`: each row is the reference server or the Rust client with one rule broken,
and every case of its side played with it. The number is that of the failure in
[FAILURES.md](../sdk/protocol/FAILURES.md) that it repeats. `cargo xtask test` plays the case in the fourth column, and
fails if that one passes.
";

const COLUMNS: &str = "| mutant | what it does | failure | has to fail | fails as well |\n|---|---|---|---|---|";
