//! Waiting for one frame or report among others. Something that came and is almost it tells more than that nothing fitted.

use super::{Broken, Play};
use crate::pattern::{self, Kept};
use serde_json::Value;

/// Where what is awaited comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    Wire,
    Testee,
}

impl Play {
    /// Reads until something matches, and nothing before it that must not come.
    pub(super) async fn wait_for(
        &mut self,
        source: Source,
        awaited: &str,
        pattern: &Value,
        never: &[Value],
    ) -> Result<(), Broken> {
        let mut nearest = Nearest::default();
        loop {
            let came = match source {
                Source::Wire => self.frame(awaited).await,
                Source::Testee => self.report(awaited).await,
            };
            let came = match came {
                Ok(came) => came,
                Err(broken) => return Err(nearest.beside(broken)),
            };
            let Err(differs) = pattern::matches(pattern, Some(&came), &mut self.kept) else { return Ok(()) };
            let forbidden = |never: &&Value| pattern::matches(never, Some(&came), &mut self.kept.clone()).is_ok();
            if let Some(forbidden) = never.iter().find(forbidden) {
                let report = if matches!(source, Source::Testee) { "report " } else { "" };
                let broken = Broken::failed(format!("no {report}{forbidden} before {pattern}"), came.to_string());
                return Err(nearest.beside(broken));
            }
            nearest.look(pattern, &came, &differs, &self.kept);
        }
    }
}

/// The one that came nearest, of all that came while a step waited.
#[derive(Default)]
struct Nearest {
    found: Option<(usize, String)>,
}

impl Nearest {
    /// Looks at what came, was not what was awaited, and differs from it so. Of what is equally near, the latest counts.
    fn look(&mut self, pattern: &Value, came: &Value, differs: &str, kept: &Kept) {
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
    fn beside(self, broken: Broken) -> Broken {
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
