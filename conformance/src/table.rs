//! Which clause is tried by which cases.

use crate::case::Case;
use crate::clauses::Seen;
use readywire_protocol::clause::{Clause, Side};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The table of clauses and cases, as Markdown. Of cases that are alike, as many as there are.
pub fn markdown(cases: &[Case], seen: &BTreeMap<String, Seen>) -> String {
    let mut text = String::from(HEAD);
    let mut notes = String::new();
    for clause in Clause::ALL {
        let seen = seen.get(clause.id());
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} | {} | {} | {} |",
            clause.id(),
            clause.strength().name(),
            clause.side().name(),
            clause.level().name(),
            seen.map_or("", |seen| seen.kind.word()),
            of(cases, *clause, Side::Server),
            of(cases, *clause, Side::Client)
        );
        if let Some(why) = seen.and_then(|seen| seen.held.as_ref().or(seen.untried.as_ref())) {
            let _ = writeln!(notes, "- `{}`: {why}", clause.id());
        }
    }
    let count = |side: Side| cases.iter().filter(|case| case.side == side).count();
    let (servers, clients) = (count(Side::Server), count(Side::Client));
    let _ = write!(text, "\n{servers} cases judge servers, {clients} judge clients.\n\n## Without a case\n\n{notes}");
    text
}

const HEAD: &str = "\
# Which clause is tried by which cases

Printed by `readywire-conformance table`; a test sees to it that it is up to date. *Seen* tells how a breach is seen: on
the `wire`, through the `testee`, or by `inspection` alone. A number behind a case says that there are so many like it.

| clause | strength | binds | level | seen | cases for servers | cases for clients |
|---|---|---|---|---|---|---|
";

fn of(cases: &[Case], clause: Clause, side: Side) -> String {
    let mut alike: Vec<(&str, usize)> = Vec::new();
    for case in cases.iter().filter(|case| case.clause == clause && case.side == side) {
        let slug = case.template.split_once('/').map_or("", |(_, slug)| slug);
        match alike.iter_mut().find(|(known, _)| *known == slug) {
            Some((_, count)) => *count += 1,
            None => alike.push((slug, 1)),
        }
    }
    let named = alike.into_iter().map(|(slug, count)| match count {
        1 => slug.to_owned(),
        several => format!("{slug} ({several})"),
    });
    named.collect::<Vec<_>>().join(", ")
}
