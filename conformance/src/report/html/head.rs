//! What was judged, and what is wrong with it, at a glance.

use super::Page;
use super::case;
use super::summary::{VERDICTS, class, number, participle, sign};
use super::visible::visible;
use crate::report::run::Run;
use crate::verdict::Verdict;
use maud::{Markup, html};

/// Problems of a run that are listed at once; more are folded.
const LISTED: usize = 30;

pub(super) fn title(runs: &[Run]) -> String {
    match runs {
        [run] => format!("{}: Readywire conformance", visible(&run.name)),
        _ => "Readywire conformance".to_owned(),
    }
}

pub(super) fn head(page: &Page) -> Markup {
    html! {
        header {
            h1 { "Readywire conformance" }
            div.runs {
                @for run in page.runs { (one(run)) }
            }
            @for (index, run) in page.runs.iter().enumerate() {
                (problems(page, index, run))
            }
        }
    }
}

fn one(run: &Run) -> Markup {
    let levels: Vec<String> = run.levels.iter().map(|level| visible(level)).collect();
    html! {
        article.run {
            h2 { (visible(&run.name)) }
            p { (visible(&run.side)) ", judged by " (levels.join(", ")) }
            ul.counts {
                @for verdict in VERDICTS {
                    @let some = number(&run.counts, verdict);
                    @if some > 0 || verdict == Verdict::Fail {
                        li class={ "mark " (if some > 0 { class(verdict) } else { "nothing" }) } {
                            (sign(verdict)) " " (some) " " (participle(verdict))
                            @if verdict == Verdict::Fail { (known(run)) }
                        }
                    }
                }
            }
            p.muted {
                (run.cases.len()) " cases in " (seconds(run.took)) " s, suite " (visible(&run.suite)) ", "
                time datetime=(visible(&run.date)) { (visible(&run.date.replace('T', " ").replace('Z', " UTC"))) }
            }
        }
    }
}

/// How many of the failures were known before.
fn known(run: &Run) -> Markup {
    let failed = run.cases.iter().filter(|case| case.verdict == Verdict::Fail);
    let known = failed.filter(|case| case.known.is_some()).count();
    html! {
        @if known > 0 && known == run.counts.fail { ", all known" } @else if known > 0 { ", " (known) " known" }
    }
}

fn problems(page: &Page, index: usize, run: &Run) -> Markup {
    let problems: Vec<_> = run.cases.iter().filter(|one| case::is_problem(one)).collect();
    html! {
        @if !problems.is_empty() {
            details.problems open[problems.len() <= LISTED] {
                summary {
                    @if page.runs.len() > 1 { (visible(&run.name)) ": " }
                    (problems.len()) @if problems.len() == 1 { " case" } @else { " cases" } " to look at"
                }
                ul {
                    @for one in problems {
                        li class=(class(one.verdict)) {
                            (sign(one.verdict)) " "
                            a href={ "#" (case::anchor(index, one)) } { (visible(&one.id)) }
                        }
                    }
                }
            }
        }
    }
}

fn seconds(milliseconds: u64) -> String {
    format!("{}.{}", milliseconds / 1000, milliseconds % 1000 / 100)
}
