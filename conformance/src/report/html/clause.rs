//! Each clause in the words of the specification, and its cases.

use super::summary::{Summary, class, sign, words, worst};
use super::visible::{prose, visible};
use super::{Page, Rule, anchor, case};
use crate::report::run::{Run, Tried};
use crate::verdict::Counts;
use maud::{Markup, html};

pub(super) fn all(page: &Page) -> Markup {
    html! {
        section {
            h2 { "Cases" }
            @if !page.room.passing {
                p.muted {
                    "The frames of passing cases would be too many here: the report by " code { "--json" } " has them."
                }
            }
            @for (part, rules) in page.parts() {
                h3.part { (visible(part)) }
                @for rule in rules { (one(page, rule)) }
            }
        }
    }
}

fn one(page: &Page, rule: &Rule) -> Markup {
    let seen = page.seen.get(&rule.id);
    html! {
        section.clause id=(visible(&rule.id)) {
            h4 {
                code { (visible(&rule.id)) }
                span.muted {
                    (visible(&rule.strength))
                    @if !rule.side.is_empty() {
                        @if rule.side == "both" { ", binds both sides" } @else { ", binds the " (visible(&rule.side)) }
                    }
                    ", " (visible(&rule.level))
                }
            }
            p.rule { (prose(&rule.text)) }
            @if let Some(why) = seen.and_then(|seen| seen.held.as_ref().or(seen.untried.as_ref())) {
                p.muted { "Without a case: " (prose(why)) }
            }
            @for (index, run) in page.runs.iter().enumerate() {
                @if let Summary::Cases(_) = Summary::of(run, rule) { (of_run(page, rule, index, run)) }
            }
        }
    }
}

fn of_run(page: &Page, rule: &Rule, index: usize, run: &Run) -> Markup {
    let cases = run.cases.iter().filter(|case| case.clause == rule.id);
    let (problems, others): (Vec<&Tried>, Vec<&Tried>) = cases.partition(|case| case::is_problem(case));
    html! {
        div.of-run id=(anchor(index, &rule.id)) {
            @for one in &problems { (case::problem(page, index, run, one)) }
            @if !others.is_empty() {
                details.others {
                    summary {
                        @let rest = Counts::of(others.iter().map(|case| case.verdict));
                        span class={ "mark " (class(worst(&rest))) } { (sign(worst(&rest))) " " (words(&rest)) }
                        @if rest.pass > 0 && rest.unsupported > 0 {
                            span.mark.unsupported { "○ " (rest.unsupported) " unsupported" }
                        }
                        @if page.runs.len() > 1 { span { (visible(&run.name)) } }
                    }
                    ul { @for one in others { (case::brief(page, run, one)) } }
                }
            }
        }
    }
}
