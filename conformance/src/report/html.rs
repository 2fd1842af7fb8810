//! The report for people: one page of HTML that asks for nothing from elsewhere.

mod case;
mod clause;
mod diagram;
mod head;
mod matrix;
mod room;
mod summary;
mod visible;

use super::run::{Run, Tried};
use crate::clauses::{self, Seen};
use maud::{DOCTYPE, PreEscaped, html};
use readywire_protocol::clause::Clause;
use room::Room;
use std::collections::BTreeMap;
use visible::visible;

const STYLE: &str = include_str!("html/style.css");

/// Nothing is loaded, run or sent; the style is the page's own.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// The page of one run or several.
///
/// # Errors
/// The list of clauses is wrong, which the tests of this crate would have shown.
pub fn page(runs: &[Run]) -> Result<String, String> {
    let page = Page { runs, rules: rules(runs), seen: clauses::list()?, room: Room::of(runs) };
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (head::title(runs)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head::head(&page))
                main {
                    (matrix::levels(runs))
                    (matrix::clauses(&page))
                    (clause::all(&page))
                }
            }
        }
    };
    Ok(markup.into_string())
}

/// What the parts of the page share.
struct Page<'a> {
    runs: &'a [Run],
    rules: Vec<Rule>,
    seen: BTreeMap<String, Seen>,
    room: Room,
}

impl Page<'_> {
    /// The rules by the part of the specification that they are in, in its order.
    fn parts(&self) -> Vec<(&str, Vec<&Rule>)> {
        let mut parts: Vec<(&str, Vec<&Rule>)> = Vec::new();
        for rule in &self.rules {
            let name = rule.id.split('.').next().unwrap_or_default();
            match parts.iter_mut().find(|(known, _)| *known == name) {
                Some((_, rules)) => rules.push(rule),
                None => parts.push((name, vec![rule])),
            }
        }
        parts
    }
}

/// A clause of the specification.
struct Rule {
    id: String,
    text: String,
    strength: String,
    /// Whom it binds; nothing if this version of the suite does not know it.
    side: String,
    level: String,
}

/// Every clause that this version knows, and then those of the runs that it does not.
fn rules(runs: &[Run]) -> Vec<Rule> {
    let known = Clause::ALL.iter().map(|clause| Rule {
        id: clause.id().to_owned(),
        text: clause.text().to_owned(),
        strength: clause.strength().name().to_owned(),
        side: clause.side().name().to_owned(),
        level: clause.level().name().to_owned(),
    });
    let mut rules: Vec<Rule> = known.collect();
    for case in runs.iter().flat_map(|run| &run.cases) {
        if rules.iter().all(|rule| rule.id != case.clause) {
            let Tried { clause, rule, strength, level, .. } = case.clone();
            rules.push(Rule { id: clause, text: rule, strength, side: String::new(), level });
        }
    }
    rules
}

/// Where a run's cases of a clause stand on the page.
fn anchor(run: usize, clause: &str) -> String {
    visible(&format!("r{}:{clause}", run + 1))
}
