//! One case: in a line if nothing is wrong, in full if something is.

use super::Page;
use super::diagram::diagram;
use super::summary::{class, sign};
use super::visible::{prose, visible};
use crate::report::run::{Run, Tried};
use crate::verdict::Verdict;
use maud::{Markup, html};

/// Whether somebody should look at it.
pub(super) fn is_problem(case: &Tried) -> bool {
    match case.verdict {
        Verdict::Fail | Verdict::NonStrict => true,
        // Where a setting is missing, there is nothing to see but the reason.
        Verdict::NotRun => case.played.is_some(),
        Verdict::Pass | Verdict::Unsupported => false,
    }
}

/// Where a case of a run stands on the page.
pub(super) fn anchor(run: usize, case: &Tried) -> String {
    super::anchor(run, &case.id)
}

/// What was done, the rule, what had to come, what came, and the frames.
pub(super) fn problem(page: &Page, index: usize, run: &Run, case: &Tried) -> Markup {
    let played = case.played.as_ref();
    let step = played.and_then(|played| played.step);
    html! {
        details class={ "case " (class(case.verdict)) } open id=(anchor(index, case)) {
            summary {
                span class={ "mark " (class(case.verdict)) } { (sign(case.verdict)) " " (case.verdict.word()) }
                code { (visible(&case.id)) }
                @if page.runs.len() > 1 { span.muted { (visible(&run.name)) } }
            }
            dl {
                dt { "case" } dd { (prose(&case.does)) }
                dt { "rule" }
                dd {
                    (prose(&case.rule)) " "
                    span.muted { "(" (visible(&case.clause)) ", " (visible(&case.strength)) ")" }
                }
                @if let Some(known) = &case.known { dt { "known" } dd { (prose(known)) } }
                @if let Some(reason) = &case.reason { dt { "reason" } dd { (prose(reason)) } }
                @if let (Some(step), Some(doing)) = (step, played.and_then(|played| played.doing.as_ref())) {
                    dt { "at step" } dd { (step) ": " span.wire { (visible(doing)) } }
                }
                @if let Some(expected) = played.and_then(|played| played.expected.as_ref()) {
                    dt { "expected" } dd.expected.wire { (visible(expected)) }
                }
                @if let Some(actual) = played.and_then(|played| played.actual.as_ref()) {
                    dt { "actual" } dd.actual.wire { (visible(actual)) }
                }
                @if let Some(nearest) = played.and_then(|played| played.nearest.as_ref()) {
                    dt { "nearest" } dd.nearest.wire { (visible(nearest)) }
                }
            }
            @if let Some(played) = played { (diagram(&page.room, run, played)) }
        }
    }
}

/// A line, and the frames if there is room for them.
pub(super) fn brief(page: &Page, run: &Run, case: &Tried) -> Markup {
    let slug = case.id.split_once('/').map_or(case.id.as_str(), |(_, slug)| slug);
    html! {
        li class=(class(case.verdict)) {
            (sign(case.verdict)) " " code { (visible(slug)) } " " (prose(&case.does))
            @if let Some(reason) = &case.reason { " " span.muted { "(" (prose(reason)) ")" } }
            @if let (true, Some(played)) = (page.room.passing, &case.played) {
                details { summary { "what passed in " (played.took) " ms" } (diagram(&page.room, run, played)) }
            }
        }
    }
}
