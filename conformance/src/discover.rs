//! What a server says of itself.

use crate::amount::Amount;
use crate::case::{Case, Connect, Step, level};
use crate::credentials::Credentials;
use crate::pattern::Kept;
use crate::play::{Peer, play};
use readywire_protocol::clause::{Clause, Level, Side};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The levels of a server: Core, and those that `capabilities` of its `ready` lists.
///
/// # Errors
/// It never said ready.
pub async fn levels(url: &str, credentials: &Credentials) -> Result<BTreeSet<Level>, String> {
    let beyond_core = Level::ALL.iter().filter(|level| **level != Level::Core);
    let every: Vec<String> = beyond_core.map(|level| level.name().to_lowercase()).collect();
    let with = Map::from_iter([("capabilities".to_owned(), json!(every))]);
    let connect = Connect { with, ..Connect::default() };
    let steps = vec![Step::Connect(connect), Step::Ready(Default::default()), Step::Bye(Amount::Number(1000))];
    let case = Case {
        id: "ready.once/discovery".to_owned(),
        template: "ready.once/discovery".to_owned(),
        clause: Clause::ReadyOnce,
        side: Side::Server,
        does: "Comes to ready once, to see what the server can do.".to_owned(),
        needs: Level::Core,
        requires: Vec::new(),
        settings: Vec::new(),
        options: Default::default(),
        strength: Clause::ReadyOnce.strength(),
        conditions: Default::default(),
        given: Default::default(),
        steps,
        afterwards: Vec::new(),
    };
    let peer = Peer::Server { url: url.to_owned(), credentials: credentials.clone(), own: None };
    let played = play(&case, peer, &Kept::new()).await;
    let ready = played.lines.iter().rev().find_map(|line| {
        let frame: Value = serde_json::from_str(&line.text).ok()?;
        (frame["type"] == "ready").then_some(frame)
    });
    let Some(ready) = ready else {
        let why = played.impossible.or(played.actual).unwrap_or_default();
        return Err(format!(
            "{url} never came to ready: {why}. Is it the right address, and is there a token (--token, --token-command)? \
             If it is a server that does not come to ready yet, --level core judges it all the same"
        ));
    };
    let mut levels = BTreeSet::from([Level::Core]);
    let listed =
        ready["capabilities"].as_array().cloned().unwrap_or_else(|| json!([]).as_array().cloned().unwrap_or_default());
    levels.extend(listed.iter().filter_map(Value::as_str).filter_map(level));
    Ok(levels)
}
