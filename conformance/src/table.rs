//! Which clause is tried by which cases.

use crate::case::Case;
use readywire_protocol::clause::{Clause, Side};
use std::fmt::Write as _;

/// The table of clauses and cases, as Markdown.
pub fn markdown(cases: &[Case]) -> String {
    let mut text = String::from(
        "| clause | strength | binds | level | cases for servers | cases for clients |\n|---|---|---|---|---|---|\n",
    );
    for clause in Clause::ALL {
        let of = |side: Side| {
            let ids: Vec<&str> = cases
                .iter()
                .filter(|case| case.clause == *clause && case.side == side)
                .filter_map(|case| case.id.split_once('/').map(|(_, slug)| slug))
                .collect();
            ids.join(", ")
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            clause.id(),
            clause.strength().name(),
            clause.side().name(),
            clause.level().name(),
            of(Side::Server),
            of(Side::Client)
        );
    }
    text
}
