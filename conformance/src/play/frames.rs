//! Writing and reading frames.

use super::scripted::{DEFAULT_STREAM_BYTES, DEFAULT_STREAM_MESSAGES};
use super::waiting::Source;
use super::{Broken, Peer, Play};
use crate::case::Closed;
use crate::link::Inbound;
use crate::log::Origin;
use crate::pattern;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::time::error::Elapsed;
use tokio::time::{timeout, timeout_at};

/// What came, as far as a case can want it.
enum Came {
    Frame(Value),
    Close(u16, String),
    Gone(String),
}

impl Play {
    pub(super) async fn write(&mut self, text: &str) -> Result<(), Broken> {
        self.note(Origin::Suite, text);
        let written = timeout(self.patience, self.link()?.text(text)).await;
        self.written(written)
    }

    pub(super) async fn write_frame(&mut self, frame: &Value) -> Result<(), Broken> {
        self.write(&text_of(frame)).await
    }

    /// A peer that has closed already says so when it is read: to have been unable to write is no verdict.
    /// One that does not read what it is sent is one.
    pub(super) fn written(&mut self, written: Result<Result<(), String>, Elapsed>) -> Result<(), Broken> {
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                self.note(Origin::Suite, &format!("(could not be written: {error})"));
                Ok(())
            }
            Err(_) => {
                let patience = self.patience.as_millis();
                self.note(Origin::Suite, &format!("(it did not read for {patience} ms)"));
                Err(Broken::failed("a peer that reads what is written", format!("it did not read for {patience} ms")))
            }
        }
    }

    /// The next frame that is not a ping of the heartbeat, which is answered on the way.
    async fn came(&mut self, awaited: &str) -> Result<Came, Broken> {
        loop {
            let deadline = self.waiting + self.patience;
            // A peer that never stops to talk would be read for ever.
            let in_time = Instant::now() <= deadline;
            let inbound = match timeout_at(deadline.into(), self.link()?.next()).await {
                Ok(inbound) if in_time => inbound,
                _ => {
                    let patience = self.patience.as_millis();
                    self.note(Origin::Suite, &format!("(it did not come for {patience} ms)"));
                    return Err(Broken::failed(awaited, format!("nothing of it for {patience} ms")));
                }
            };
            match inbound {
                Inbound::Text(text) => {
                    self.note(Origin::Peer, &text);
                    let frame = lenient(&text)
                        .map_err(|error| Broken::failed(awaited, format!("a text that is no JSON: {error}")))?;
                    self.note_stage(&frame);
                    self.kept.insert("text".to_owned(), Value::from(text));
                    self.script.read(&frame);
                    if frame["type"] == "ping" && !awaited.contains("\"ping\"") {
                        if !self.mute {
                            let pong = json!({ "type": "pong", "nonce": frame["nonce"] });
                            self.write_frame(&pong).await?;
                        }
                        continue;
                    }
                    return Ok(Came::Frame(frame));
                }
                Inbound::Binary(message) => return self.opened(awaited, &message).map(Came::Frame),
                Inbound::Close(code, reason) => {
                    self.note(Origin::Peer, &format!("(close {code} {reason})"));
                    return Ok(Came::Close(code, reason));
                }
                Inbound::Gone(why) => {
                    self.note(Origin::Peer, &format!("(gone: {why})"));
                    return Ok(Came::Gone(why));
                }
            }
        }
    }

    /// The next frame; that the connection ends instead breaks the rule.
    pub(super) async fn frame(&mut self, awaited: &str) -> Result<Value, Broken> {
        match self.came(awaited).await? {
            Came::Frame(frame) => Ok(frame),
            Came::Close(code, _) => Err(Broken::failed(awaited, format!("a close frame with {code}"))),
            Came::Gone(why) => Err(Broken::failed(awaited, format!("the end of the connection: {why}"))),
        }
    }

    pub(super) async fn expect(&mut self, patterns: &[Value]) -> Result<(), Broken> {
        let awaited = patterns.iter().map(Value::to_string).collect::<Vec<_>>().join(", or ");
        let frame = self.frame(&awaited).await?;
        let mut reasons = Vec::new();
        for pattern in patterns {
            match pattern::matches(pattern, Some(&frame), &mut self.kept) {
                Ok(()) => return Ok(()),
                Err(reason) => reasons.push(reason),
            }
        }
        Err(Broken::failed(awaited, format!("{frame} ({})", reasons.join("; "))))
    }

    /// Frames that match each of these, in any order.
    pub(super) async fn until_all(&mut self, patterns: &[Value]) -> Result<(), Broken> {
        let mut open: Vec<&Value> = patterns.iter().collect();
        while !open.is_empty() {
            let awaited = open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", and ");
            let frame = self.frame(&awaited).await?;
            let kept = &mut self.kept;
            if let Some(at) = open.iter().position(|pattern| pattern::matches(pattern, Some(&frame), kept).is_ok()) {
                open.remove(at);
            }
        }
        Ok(())
    }

    pub(super) async fn until(&mut self, pattern: &Value, never: &[Value]) -> Result<(), Broken> {
        let mut awaited = pattern.to_string();
        if !never.is_empty() {
            let never = never.iter().map(Value::to_string).collect::<Vec<_>>().join(" and no ");
            awaited = format!("{awaited}, and before it no {never}");
        }
        self.wait_for(Source::Wire, &awaited, pattern, never).await
    }

    pub(super) async fn closed(&mut self, closed: &Closed) -> Result<(), Broken> {
        let codes = closed.codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
        let awaited = if codes.is_empty() { "a close".to_owned() } else { format!("a close with {codes}") };
        let mut bye: Option<Value> = None;
        let (code, reason) = loop {
            match self.came(&awaited).await? {
                Came::Frame(frame) if closed.alone => {
                    return Err(Broken::failed(format!("{awaited}, alone"), frame.to_string()));
                }
                Came::Frame(frame) if frame["type"] == "bye" => bye = Some(frame),
                Came::Frame(frame)
                    if closed
                        .never
                        .iter()
                        .any(|never| pattern::matches(never, Some(&frame), &mut self.kept.clone()).is_ok()) =>
                {
                    return Err(Broken::failed(format!("{awaited}, and nothing else"), frame.to_string()));
                }
                // What was under way may still come before the last words.
                Came::Frame(frame) if bye.is_none() => drop(frame),
                Came::Frame(frame) => return Err(Broken::failed(awaited, format!("{frame} after `bye`"))),
                Came::Close(code, reason) => break (code, reason),
                Came::Gone(_) if closed.broken => {
                    self.over();
                    return Ok(());
                }
                Came::Gone(why) => {
                    return Err(Broken::failed(awaited, format!("no close frame: {why}")));
                }
            }
        };
        self.over();
        self.kept.insert("code".to_owned(), Value::from(code));
        if !closed.codes.is_empty() && !closed.codes.contains(&code) {
            return Err(Broken::failed(awaited, format!("a close frame with {code}")));
        }
        if closed.alone || (code < 4000 && closed.bye.is_none()) {
            return Ok(());
        }
        let Some(bye) = bye else {
            return Err(Broken::failed("`bye` before the close frame", format!("a close frame with {code} alone")));
        };
        if bye["code"] != code {
            return Err(Broken::failed(format!("`bye` with {code}, as in the close frame"), bye.to_string()));
        }
        if !bye["reason"].as_str().unwrap_or_default().starts_with(&reason) {
            let expected = format!("the start of the reason in {bye}");
            return Err(Broken::failed(expected, format!("the reason `{reason}` in the close frame")));
        }
        if let Some(clause) = &closed.clause
            && bye["clause"].as_str().is_some_and(|named| named != clause)
        {
            return Err(Broken::failed(format!("`bye` that names `{clause}`"), bye.to_string()));
        }
        if let Some(pattern) = &closed.bye {
            pattern::matches(pattern, Some(&bye), &mut self.kept)
                .map_err(|reason| Broken::failed(pattern.to_string(), format!("{bye} ({reason})")))?;
        }
        Ok(())
    }

    /// A ping is answered, and nothing but pings of the other end comes before the answer. A peer may read all that has come
    /// and write its pong before it gets to the rest: a second ping, written once the first pong is there, comes behind that.
    pub(super) async fn silence(&mut self) -> Result<(), Broken> {
        if matches!(self.peer, Peer::Client(_)) {
            // What was ordered may still be on its way to the client.
            self.sync().await?;
        }
        for _ in 0..2 {
            self.probes += 1;
            let nonce = format!("silence-{}", self.probes);
            self.write_frame(&json!({ "type": "ping", "nonce": nonce })).await?;
            let pong = json!({ "type": "pong", "nonce": nonce });
            self.expect(std::slice::from_ref(&pong)).await?;
        }
        Ok(())
    }

    /// Nothing comes, though everything that was ordered has been given to the client.
    pub(super) async fn quiet(&mut self, milliseconds: u64) -> Result<(), Broken> {
        self.sync().await?;
        let came = timeout(Duration::from_millis(milliseconds), self.link()?.next()).await;
        let found = match came {
            Err(_) => return Ok(()),
            Ok(Inbound::Text(text)) => text,
            Ok(other) => format!("{other:?}"),
        };
        self.note(Origin::Peer, &found);
        Err(Broken::failed(format!("nothing for {milliseconds} ms"), found))
    }

    pub(super) async fn bye(&mut self, code: u16) -> Result<(), Broken> {
        let bye = json!({ "type": "bye", "code": code, "reason": "the case is over" });
        self.write_frame(&bye).await?;
        self.close(code).await
    }

    pub(super) async fn close(&mut self, code: u16) -> Result<(), Broken> {
        self.note(Origin::Suite, &format!("(close {code})"));
        let written = timeout(self.patience, self.link()?.close(code, "the case is over")).await;
        self.ended = Some(Instant::now());
        self.closing.insert(self.current.clone());
        self.written(written)
    }

    /// The connection has ended. Some clients wait until its socket has, too.
    fn over(&mut self) {
        self.ended = Some(Instant::now());
        self.closing.insert(self.current.clone());
    }

    pub(super) async fn ready(&mut self, over: &Map<String, Value>) -> Result<(), Broken> {
        match self.peer {
            Peer::Server { .. } => self.come_to_ready(over).await,
            Peer::Client(_) => self.say_ready(over).await,
        }
    }

    fn note_stage(&mut self, frame: &Value) {
        let stage = frame["stage"].as_str().unwrap_or_default();
        if let (true, Some(index)) = (frame["type"] == "stage", STAGES.iter().position(|known| *known == stage)) {
            self.reached.insert(self.current.clone(), index + 1);
        }
    }

    /// Reads stages, in their order, up to `ready`.
    async fn come_to_ready(&mut self, pattern: &Map<String, Value>) -> Result<(), Broken> {
        let mut next = self.reached.get(&self.current).copied().unwrap_or_default();
        loop {
            let awaited = if next < STAGES.len() { format!("`stage {}`", STAGES[next]) } else { "`ready`".to_owned() };
            let frame = self.frame(&awaited).await?;
            let stage = frame["stage"].as_str().unwrap_or_default();
            if frame["type"] == "stage" && next < STAGES.len() && stage == STAGES[next] {
                if stage == "ACCEPTED" {
                    self.kept.insert("connection".to_owned(), frame["connection"].clone());
                }
                next += 1;
            } else if frame["type"] == "stage" && next > 0 && stage == STAGES[next - 1] {
                // The stage under way, with news of what is pending.
            } else if frame["type"] == "ready" && next == STAGES.len() {
                for (name, value) in [
                    ("session", &frame["session"]["id"]),
                    ("session_token", &frame["session"]["token"]),
                    ("received", &frame["received"]),
                    ("limits", &frame["limits"]),
                    ("max_message_bytes", &frame["limits"]["max_message_bytes"]),
                    ("max_in_flight", &frame["limits"]["max_in_flight"]),
                ] {
                    self.kept.insert(name.to_owned(), value.clone());
                }
                for (name, usual) in
                    [("stream_messages", DEFAULT_STREAM_MESSAGES), ("stream_bytes", DEFAULT_STREAM_BYTES)]
                {
                    let limit = frame["limits"][name].as_u64().unwrap_or(usual);
                    self.kept.insert(name.to_owned(), Value::from(limit));
                }
                return pattern::matches(&Value::Object(pattern.clone()), Some(&frame), &mut self.kept).map_err(
                    |reason| Broken::failed(format!("`ready` with {}", json!(pattern)), format!("{frame} ({reason})")),
                );
            } else {
                return Err(Broken::failed(awaited, frame.to_string()));
            }
        }
    }
}

/// The stages before `ready`, in their order.
const STAGES: [&str; 3] = ["ACCEPTED", "AUTHENTICATED", "SERVICES_READY"];

/// A frame as text, with its type first, as the specification would have it.
pub(super) fn text_of(frame: &Value) -> String {
    let Some(members) = frame.as_object().filter(|members| members.contains_key("type")) else {
        return frame.to_string();
    };
    let rest = members.iter().filter(|(name, _)| *name != "type");
    let mut text = format!("{{\"type\":{}", frame["type"]);
    for (name, value) in rest {
        text.push_str(&format!(",{}:{value}", Value::from(name.as_str())));
    }
    text.push('}');
    text
}

/// A frame as a value. A payload may be JSON that no value can hold, such as half of a surrogate pair: then it stands
/// there as its text.
pub(super) fn lenient(text: &str) -> Result<Value, serde_json::Error> {
    let error = match serde_json::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let Ok(members) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) else { return Err(error) };
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::from(raw.get()));
    Ok(Value::Object(members.into_iter().map(|(name, raw)| (name, value(raw))).collect()))
}

/// Puts members over members; null takes one away.
pub(super) fn merge(into: &mut Value, over: Value) {
    match (into, over) {
        (Value::Object(object), Value::Object(members)) => {
            for (name, value) in members {
                if value.is_null() {
                    object.remove(&name);
                } else {
                    merge(object.entry(name).or_insert(Value::Null), value);
                }
            }
        }
        (into, over) => *into = over,
    }
}
