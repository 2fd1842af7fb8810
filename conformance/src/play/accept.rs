//! Taking connections of a client in.

use super::{Broken, Peer, Play};
use crate::case::{Accept, Begin, Waits};
use crate::link::Upgrade;
use crate::log::Origin;
use crate::pattern;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use readywire_protocol::{HELLO_ENTRY_BYTES, HELLO_PREFIX, SUBPROTOCOL};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::timeout;

impl Play {
    pub(super) async fn begin(&mut self, begin: &Begin) -> Result<(), Broken> {
        let mut order = json!({ "op": "connect" });
        for (name, value) in &begin.connect {
            order[name] = value.clone();
        }
        self.order(&order)?;
        self.accept(&Accept { hello: begin.hello.clone(), ..Accept::default() }).await?;
        let over = begin.ready.clone().unwrap_or_else(|| json!({}));
        let over = pattern::filled(&over, &self.kept).map_err(Broken::Impossible)?;
        let over = over.as_object().cloned().ok_or_else(|| Broken::Impossible(format!("`{over}` is no `ready`")))?;
        self.say_ready(&over).await
    }

    pub(super) async fn accept(&mut self, accept: &Accept) -> Result<(), Broken> {
        self.settle().await?;
        self.bury();
        self.current = accept.name.clone().unwrap_or_else(|| "main".to_owned());
        let upgrade = self.upgrade().await?;
        self.waiting = Instant::now();
        self.in_time(accept, upgrade.arrived)?;
        let Peer::Client(run) = &self.peer else { return Err(not_a_client("accept")) };
        let wanted = run.path.clone();
        let wanted = accept.path.as_ref().map_or(Ok(wanted), |path| self.fill(path))?;
        if !accept.elsewhere && upgrade.path != wanted {
            return Err(Broken::failed(format!("a connection to {wanted}"), format!("one to {}", upgrade.path)));
        }
        let riding = upgrade.hello().map(str::to_owned);
        let bearer = upgrade.bearer.clone();
        self.script.open();
        self.note(Origin::Peer, if riding.is_some() { "(upgrade, with this hello)" } else { "(upgrade)" });
        let riding = riding.map(|entry| (URL_SAFE_NO_PAD.decode(&entry), entry));
        if let Some((Ok(hello), _)) = &riding {
            self.note(Origin::Peer, &String::from_utf8_lossy(hello));
        }
        if let Some(offers) = &accept.existing {
            return self.accept_existing(accept, offers, upgrade).await;
        }
        if !upgrade.offers_first() {
            let offered = upgrade.protocols.join(", ");
            return Err(Broken::failed(format!("{SUBPROTOCOL} as the first subprotocol"), offered));
        }
        if accept.stall {
            self.note(Origin::Suite, "(no answer)");
            self.stalled.push(upgrade);
            return Ok(());
        }
        if let Some(status) = &accept.status {
            let status = self.code(status)?;
            self.note(Origin::Suite, &format!("(HTTP {status})"));
            upgrade.refuse(status).await;
            self.ended = Some(Instant::now());
            return self.placed(accept, if riding.is_some() { "upgrade" } else { "frame" });
        }
        let entry = riding.as_ref().map(|(_, entry)| format!("{HELLO_PREFIX}{entry}"));
        let protocol = match accept.protocol.as_deref() {
            None => Some(SUBPROTOCOL.to_owned()),
            Some("none") => None,
            Some("hello") => entry.clone(),
            Some(other) => Some(other.to_owned()),
        };
        let link =
            upgrade.accept(protocol.as_deref()).await.map_err(|error| Broken::failed("an open connection", error))?;
        self.note(
            Origin::Suite,
            &format!("(HTTP 101, subprotocol {})", accept.protocol.as_deref().unwrap_or(SUBPROTOCOL)),
        );
        self.links.insert(self.current.clone(), link);
        let (place, hello) = match riding {
            Some((decoded, _)) => {
                let length = entry.map_or(0, |entry| entry.len());
                if length > HELLO_ENTRY_BYTES {
                    let expected = format!("an entry of {HELLO_ENTRY_BYTES} bytes at most");
                    return Err(Broken::failed(expected, format!("{length} bytes")));
                }
                let bytes = decoded
                    .map_err(|error| Broken::failed("a hello in base64url without padding", error.to_string()))?;
                let hello: Value = serde_json::from_slice(&bytes)
                    .map_err(|error| Broken::failed("a hello in JSON", error.to_string()))?;
                self.kept.insert("text".to_owned(), Value::from(String::from_utf8_lossy(&bytes)));
                ("upgrade", hello)
            }
            None if accept.wait == Some(false) => return Ok(()),
            None => ("frame", self.frame("`hello`").await?),
        };
        self.placed(accept, place)?;
        let pattern = accept.hello.clone().unwrap_or_else(|| json!({}));
        if hello["type"] != "hello" {
            return Err(Broken::failed("`hello`", hello.to_string()));
        }
        pattern::matches(&pattern, Some(&hello), &mut self.kept)
            .map_err(|reason| Broken::failed(pattern.to_string(), format!("{hello} ({reason})")))?;
        if let Some(pattern) = &accept.token {
            let token = hello["auth"]["token"].as_str().map(str::to_owned).or(bearer).map(Value::from);
            pattern::matches(pattern, token.as_ref(), &mut self.kept)
                .map_err(|reason| Broken::failed(format!("the token {pattern}"), reason))?;
        }
        self.script.hello = hello;
        Ok(())
    }

    /// As a server that does not speak the protocol.
    async fn accept_existing(&mut self, accept: &Accept, offers: &[String], upgrade: Upgrade) -> Result<(), Broken> {
        if upgrade.protocols != offers {
            let shown =
                |protocols: &[String]| if protocols.is_empty() { "none".to_owned() } else { protocols.join(", ") };
            return Err(Broken::failed(
                format!("these subprotocols and no other: {}", shown(offers)),
                shown(&upgrade.protocols),
            ));
        }
        let selected = match accept.protocol.as_deref() {
            None => offers.first().map(String::as_str),
            Some("none") => None,
            Some(other) => Some(other),
        };
        let link = upgrade.accept(selected).await.map_err(|error| Broken::failed("an open connection", error))?;
        self.note(Origin::Suite, &format!("(HTTP 101, subprotocol {})", selected.unwrap_or("none")));
        self.links.insert(self.current.clone(), link);
        Ok(())
    }

    pub(super) async fn no_connection(&mut self, milliseconds: u64) -> Result<(), Broken> {
        self.bury();
        let Peer::Client(run) = &mut self.peer else { return Err(not_a_client("no_connection")) };
        match timeout(Duration::from_millis(milliseconds), run.upgrade()).await {
            Ok(Ok(upgrade)) => {
                let waited = self.ended.map_or(0, |ended| upgrade.arrived.saturating_duration_since(ended).as_millis());
                let found = format!("one, {waited} ms after the end of the one before");
                Err(Broken::failed(format!("no connection for {milliseconds} ms"), found))
            }
            Ok(Err(why)) => Err(Broken::Impossible(why)),
            Err(_) => Ok(()),
        }
    }

    /// Closes that are under way go on without the case, and its next connection may have the name.
    pub(super) fn bury(&mut self) {
        for name in std::mem::take(&mut self.closing) {
            if let Some(link) = self.links.remove(&name) {
                tokio::spawn(link.bury());
            }
        }
    }

    async fn upgrade(&mut self) -> Result<Upgrade, Broken> {
        let patience = self.patience;
        let Peer::Client(run) = &mut self.peer else { return Err(not_a_client("accept")) };
        match timeout(patience, run.upgrade()).await {
            Ok(Ok(upgrade)) => Ok(upgrade),
            Ok(Err(why)) => Err(Broken::Impossible(why)),
            Err(_) => Err(Broken::failed("a connection", format!("none for {} ms", patience.as_millis()))),
        }
    }

    /// Whether a connection came neither too early nor too late.
    fn in_time(&mut self, accept: &Accept, arrived: Instant) -> Result<(), Broken> {
        let Some(ended) = self.ended else { return Ok(()) };
        let waited = arrived.saturating_duration_since(ended).as_millis() as u64;
        self.waits.push(waited);
        for (limit, kept) in [(&accept.after, true), (&accept.before, false)] {
            let Some(limit) = limit else { continue };
            let limit = limit.of(&self.kept).map_err(Broken::Impossible)?;
            if kept != (waited >= limit) {
                let expected = if kept { "not earlier" } else { "not later" };
                return Err(Broken::failed(
                    format!("a connection {expected} than {limit} ms after the end of the one before"),
                    format!("one after {waited} ms"),
                ));
            }
        }
        Ok(())
    }

    /// Whether the waits before the last connections are as random as they have to be.
    pub(super) fn waited(&self, waits: &Waits) -> Result<(), Broken> {
        let looked_at = &self.waits[self.waits.len().saturating_sub(waits.last)..];
        if looked_at.len() < waits.last {
            return Err(Broken::Impossible(format!("the case saw {} waits, and looks at more", looked_at.len())));
        }
        let (Some(shortest), Some(longest)) = (looked_at.iter().min(), looked_at.iter().max()) else { return Ok(()) };
        if *shortest < waits.shortest_below && longest - shortest >= waits.apart {
            return Ok(());
        }
        let Waits { last, shortest_below, apart } = waits;
        let expected = format!("{last} waits, the shortest below {shortest_below} ms, the longest {apart} ms longer");
        Err(Broken::failed(expected, format!("waits of {looked_at:?} ms")))
    }

    fn placed(&self, accept: &Accept, place: &str) -> Result<(), Broken> {
        match accept.from.as_deref() {
            Some(wanted) if wanted != place => {
                Err(Broken::failed(format!("the hello in the {wanted}"), format!("in the {place}")))
            }
            _ => Ok(()),
        }
    }
}

fn not_a_client(step: &str) -> Broken {
    Broken::Impossible(format!("`{step}` is for cases that judge clients"))
}
