//! What a client under test is told to do, and what it reports.

use super::{Broken, Peer, Play};
use crate::log::Origin;
use crate::pattern;
use serde_json::Value;
use tokio::time::timeout;

impl Play {
    pub(super) fn order(&mut self, order: &Value) -> Result<(), Broken> {
        let order = pattern::filled(order, &self.kept).map_err(Broken::Impossible)?;
        self.note(Origin::Order, &order.to_string());
        let Peer::Client { orders, .. } = &self.peer else {
            return Err(Broken::Impossible("`order` is for cases that judge clients".to_owned()));
        };
        orders.send(order).map_err(|_| Broken::Impossible("the testee is gone".to_owned()))
    }

    pub(super) async fn observe(&mut self, pattern: &Value, never: &[Value]) -> Result<(), Broken> {
        let patience = self.patience;
        let awaited = format!("a report {pattern}");
        loop {
            let Peer::Client { reports, .. } = &mut self.peer else {
                return Err(Broken::Impossible("`observe` is for cases that judge clients".to_owned()));
            };
            let report = match timeout(patience, reports.recv()).await {
                Ok(Some(report)) => report,
                Ok(None) => return Err(Broken::Impossible("the testee is gone".to_owned())),
                Err(_) => return Err(Broken::failed(awaited, format!("none for {} ms", patience.as_millis()))),
            };
            self.note(Origin::Report, &report.to_string());
            if pattern::matches(pattern, Some(&report), &mut self.kept).is_ok() {
                return Ok(());
            }
            for forbidden in never {
                if pattern::matches(forbidden, Some(&report), &mut self.kept.clone()).is_ok() {
                    return Err(Broken::failed(format!("no report {forbidden} before {pattern}"), report.to_string()));
                }
            }
        }
    }
}
