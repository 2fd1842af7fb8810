//! The report for programs.

use crate::verdict::{Counts, Judged};
use serde_json::{Value, json};

/// One run as JSON.
pub fn run(name: &str, judged: &[Judged]) -> Value {
    let cases: Vec<Value> = judged
        .iter()
        .map(|one| {
            json!({
                "id": one.case.id,
                "clause": one.case.clause.id(),
                "strength": one.case.strength().name(),
                "rule": one.case.clause.text(),
                "side": one.case.side.name(),
                "level": one.case.needs.name(),
                "does": one.case.does,
                "verdict": one.verdict,
                "reason": one.reason,
                "played": one.played,
            })
        })
        .collect();
    json!({ "name": name, "counts": Counts::of(judged), "cases": cases })
}
