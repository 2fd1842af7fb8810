//! What passed, as a sequence diagram: a lifeline for each that takes part, an arrow for each frame.

use super::room::{Room, SHORT};
use super::visible::{ending, shortened, visible};
use crate::log::{Line, Origin};
use crate::play::Played;
use crate::report::run::Run;
use maud::{Markup, html};
use serde_json::Value;

pub(super) fn diagram(room: &Room, run: &Run, played: &Played) -> Markup {
    let lines = &played.lines;
    let testee = lines.iter().any(|line| matches!(line.origin, Origin::Order | Origin::Report));
    let several = lines.iter().any(|line| line.connection != "main");
    let left_out = room.left_out(lines.len());
    html! {
        div class={ "sequence " (if testee { "three" } else { "two" }) } {
            div.ends {
                span.at { "ms" }
                @if testee { span { "testee" } }
                span { "suite" }
                span { (visible(&run.name)) }
            }
            ol {
                @for (index, line) in lines.iter().enumerate() {
                    @if index == left_out.start && !left_out.is_empty() {
                        li.remark {
                            span.at {}
                            div.lane { p { "… " (left_out.len()) " lines, which the report by --json has …" } }
                        }
                    }
                    @if !left_out.contains(&index) { (row(room, line, several)) }
                }
                (end(played))
            }
        }
    }
}

fn row(room: &Room, line: &Line, several: bool) -> Markup {
    let class = match line.origin {
        _ if line.is_remark() => "remark",
        Origin::Suite => "suite",
        Origin::Peer => "peer",
        Origin::Order => "order",
        Origin::Report => "report",
    };
    html! {
        li class=(class) {
            span.at { (line.at) }
            div.lane { div.said { (text(room, line, several)) } }
        }
    }
}

/// What was said, all of it only when it is asked for; and on which connection, where there are several.
fn text(room: &Room, line: &Line, several: bool) -> Markup {
    let shown = visible(&line.text);
    let wire = matches!(line.origin, Origin::Suite | Origin::Peer);
    let before = html! {
        @if several && wire { span.connection { (visible(&line.connection)) } " " }
        @if let Some(kind) = kind(&line.text) { b { (visible(&kind)) } " " }
    };
    html! {
        @match shortened(&shown, SHORT) {
            None => { (before) span.wire { (shown) } }
            Some(short) => {
                details {
                    summary { (before) span.wire { (short) } }
                    p.wire { (shortened(&shown, room.characters).unwrap_or(shown)) }
                }
            }
        }
    }
}

/// What kind of frame, order or report it is.
fn kind(text: &str) -> Option<String> {
    let value: Value = serde_json::from_str(text).ok()?;
    let kind = ["type", "op", "on"].iter().find_map(|name| value.get(name)?.as_str());
    kind.map(|kind| shortened(kind, 40).unwrap_or_else(|| kind.to_owned()))
}

/// The step that did not end as it should have.
fn end(played: &Played) -> Markup {
    let (Some(step), Some(doing)) = (played.step, &played.doing) else { return html! {} };
    let came = played.actual.as_ref().or(played.impossible.as_ref());
    let doing = visible(doing);
    html! {
        li.broken {
            span.at { (if played.impossible.is_some() { "?" } else { "✗" }) }
            div.lane {
                p {
                    b { "step " (step) } " " span.wire { (shortened(&doing, SHORT).unwrap_or(doing)) }
                    @if let Some(came) = came {
                        @let came = visible(came);
                        ": " span.wire { (ending(&came, SHORT).unwrap_or(came)) }
                    }
                }
            }
        }
    }
}
