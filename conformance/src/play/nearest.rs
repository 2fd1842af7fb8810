//! What came in place of what was awaited: a frame that is almost it tells more than that nothing fitted.

use super::Broken;
use crate::pattern::{self, Kept};
use serde_json::Value;

/// The one that came nearest, of all that came while a step waited.
#[derive(Default)]
pub(super) struct Nearest {
    found: Option<(usize, String)>,
}

impl Nearest {
    /// Looks at what came, was not what was awaited, and differs from it so. Of what is equally near, the latest counts.
    pub(super) fn look(&mut self, pattern: &Value, came: &Value, differs: &str, kept: &Kept) {
        // Every frame has a type, and every report says what it is on.
        if !["type", "on"].into_iter().any(|kind| came.get(kind).is_some_and(|found| pattern[kind] == *found)) {
            return;
        }
        let alike = pattern::alike(pattern, came, kept);
        if alike > 1 && self.found.as_ref().is_none_or(|(before, _)| *before <= alike) {
            self.found = Some((alike, format!("{came} ({differs})")));
        }
    }

    /// The failure to which the wait came, with what came nearest.
    pub(super) fn beside(self, broken: Broken) -> Broken {
        match broken {
            Broken::Failed { expected, actual, .. } => {
                Broken::Failed { expected, actual, nearest: self.found.map(|(_, text)| text) }
            }
            impossible @ Broken::Impossible(_) => impossible,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn nearest(pattern: &Value, came: &[Value]) -> Option<String> {
        let mut nearest = Nearest::default();
        for came in came {
            let differs = pattern::matches(pattern, Some(came), &mut Kept::new()).unwrap_err();
            nearest.look(pattern, came, &differs, &Kept::new());
        }
        match nearest.beside(Broken::failed("it", "nothing")) {
            Broken::Failed { nearest, .. } => nearest,
            Broken::Impossible(_) => unreachable!("it was a failure"),
        }
    }

    #[test]
    fn the_frame_that_differs_least_is_named_with_the_difference() {
        let pattern = json!({ "type": "nack", "id": 2, "code": "not_asked", "retry": "<false or absent>" });
        let near = json!({ "type": "nack", "id": 2, "code": "not_asked", "retry": true });
        let came =
            [json!({ "type": "nack", "id": 2, "code": "other" }), near.clone(), json!({ "type": "ack", "id": 2 })];
        let said = nearest(&pattern, &came).expect("one is near");
        assert_eq!(said, format!("{near} (retry is true, expected false or absent)"));
    }

    #[test]
    fn the_same_type_alone_is_not_near() {
        assert_eq!(nearest(&json!({ "type": "ack", "id": 6 }), &[json!({ "type": "ack", "id": 5 })]), None);
        let message = json!({ "type": "message", "offset": 1, "event": "a" });
        assert_eq!(nearest(&json!({ "type": "page", "offset": 1, "event": "a" }), &[message]), None);
    }

    #[test]
    fn of_what_is_equally_near_the_latest_counts() {
        let report = |code: &str| json!({ "on": "outcome", "handle": 1, "outcome": code });
        let said = nearest(&report("acknowledged"), &[report("unknown"), report("refused")]).expect("one is near");
        assert!(said.contains("outcome is \"refused\", expected \"acknowledged\""), "{said}");
    }
}
