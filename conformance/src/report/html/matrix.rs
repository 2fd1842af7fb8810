//! Implementations by levels and by clauses: where to look.

use super::summary::{Summary, all_words, class, counted, sign, words, worst};
use super::visible::{prose, visible};
use super::{Page, Rule, anchor};
use crate::report::run::Run;
use crate::verdict::Counts;
use maud::{Markup, html};
use readywire_protocol::clause::Level;

pub(super) fn levels(runs: &[Run]) -> Markup {
    html! {
        section {
            h2 { "Levels" }
            div.scroll tabindex="0" {
                table.matrix {
                    thead {
                        tr {
                            th scope="col" { "passed of all cases" }
                            @for &level in Level::ALL { th scope="col" { (level.name()) } }
                        }
                    }
                    tbody {
                        @for run in runs {
                            tr {
                                th scope="row" { (visible(&run.name)) " " span.muted { (visible(&run.side)) } }
                                @for &level in Level::ALL { (level_cell(run, level)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn level_cell(run: &Run, level: Level) -> Markup {
    let counts = counted(run, |case| case.level == level.name());
    html! {
        @if counts.total() == 0 {
            td.nothing { span.sign aria-hidden="true" { "–" } " no case" }
        } @else {
            td class=(class(worst(&counts))) title=(all_words(&counts)) {
                (sign(worst(&counts))) " " (counts.pass) "/" (counts.total())
                (aside(&counts))
            }
        }
    }
}

pub(super) fn clauses(page: &Page) -> Markup {
    html! {
        section {
            h2 { "Clauses" }
            p.muted {
                "✓ passed, ✗ failed, ≈ non-strict: a SHOULD is not kept, ○ unsupported: declared as lacking, "
                "? not run, – no case was played, · the clause binds the other side."
            }
            div.scroll tabindex="0" {
                table.matrix.clauses {
                    thead {
                        tr {
                            th scope="col" { "clause" }
                            th.rule scope="col" { "rule" }
                            @for run in page.runs {
                                th scope="col" { (visible(&run.name)) br; span.muted { (visible(&run.side)) } }
                            }
                        }
                    }
                    @for (part, rules) in page.parts() {
                        tbody {
                            tr.part { th colspan=(2 + page.runs.len()) scope="rowgroup" { span { (visible(part)) } } }
                            @for rule in rules { (row(page, rule)) }
                        }
                    }
                }
            }
        }
    }
}

fn row(page: &Page, rule: &Rule) -> Markup {
    html! {
        tr {
            th scope="row" { a href={ "#" (visible(&rule.id)) } { (visible(&rule.id)) } }
            td.rule { (prose(&rule.text)) }
            @for (index, run) in page.runs.iter().enumerate() {
                @match Summary::of(run, rule) {
                    Summary::Cases(counts) => {
                        td class=(class(worst(&counts))) title=(all_words(&counts)) {
                            a href={ "#" (anchor(index, &rule.id)) } { (sign(worst(&counts))) " " (words(&counts)) }
                            (aside(&counts))
                        }
                    }
                    Summary::NotTried => { td.nothing { span.sign aria-hidden="true" { "–" } " no case" } }
                    Summary::NotBound => { td.nothing { span.sign aria-hidden="true" { "·" } " not bound" } }
                }
            }
        }
    }
}

/// What was left out, beside what was not.
fn aside(counts: &Counts) -> Markup {
    html! {
        @if counts.unsupported > 0 && counts.unsupported < counts.total() {
            " " small { "○ " (counts.unsupported) }
        }
    }
}
