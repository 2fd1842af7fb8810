//! Plays a case: does its steps, one after the other, and says what came of it.

mod accept;
mod envelope;
mod frames;
mod operator;
mod scripted;
mod testee;
mod upgrade;
mod waiting;

use crate::amount::Amount;
use crate::case::{Case, Envelope, Repeated, Step};
use crate::link::{Link, Upgrade};
use crate::log::{Line, Log, Origin, redacted};
use crate::pattern::{self, Kept};
use crate::process::Started;
use crate::testee::Run;
use readywire_protocol::clause::Level;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};
use tokio::time::{timeout, timeout_at};

/// How long a peer may take for the next thing, unless a case says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How often that long a whole case may take. Each wait has its bound; this one is for what goes round in circles.
const WAITS: u32 = 12;

/// Who is judged.
pub enum Peer {
    /// A server: the suite connects to it.
    Server {
        /// Its WebSocket address.
        url: String,
        /// Where tokens come from.
        credentials: crate::credentials::Credentials,
        /// The server's process, if it was started for this case alone.
        own: Option<std::sync::Arc<tokio::sync::Mutex<Started>>>,
    },
    /// A client: it connects to the suite.
    Client(Box<Run>),
}

/// What a step came to when it did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The peer broke the rule.
    Failed {
        /// What had to come.
        expected: String,
        /// What came.
        actual: String,
        /// Of all that came meanwhile, what was almost it, and how it differs.
        nearest: Option<String>,
    },
    /// The case itself cannot go on: no server, no testee, a mistake in the case.
    Impossible(String),
}

impl Broken {
    fn failed(expected: impl Into<String>, actual: impl Into<String>) -> Self {
        Self::Failed { expected: expected.into(), actual: actual.into(), nearest: None }
    }
}

/// A case that was played.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Played {
    /// The number of the step at which it ended otherwise than expected, from 1.
    pub step: Option<usize>,
    /// What was done there, in words.
    pub doing: Option<String>,
    /// What had to come.
    pub expected: Option<String>,
    /// What came.
    pub actual: Option<String>,
    /// Of all that came meanwhile, what was almost it, and how it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<String>,
    /// Why it could not be played.
    pub impossible: Option<String>,
    /// The transcript.
    pub lines: Vec<Line>,
    /// How long it took, in milliseconds.
    pub took: u64,
}

/// A case under way.
pub(crate) struct Play {
    pub(crate) peer: Peer,
    pub(crate) log: Log,
    pub(crate) kept: Kept,
    pub(crate) links: BTreeMap<String, Link>,
    pub(crate) current: String,
    pub(crate) patience: Duration,
    /// When the waiting under way began: what comes meanwhile, and is not what is waited for, wins no time.
    pub(crate) waiting: Instant,
    pub(crate) mute: bool,
    /// Whether payloads may come as bytes.
    pub(crate) binary: bool,
    pub(crate) probes: u64,
    /// How many stages each connection to a server has confirmed before `ready`.
    pub(crate) reached: BTreeMap<String, usize>,
    /// Links whose close is under way.
    pub(crate) closing: BTreeSet<String>,
    /// When the last connection ended, or was told that it will, as far as the suite knows.
    pub(crate) ended: Option<Instant>,
    /// How long a client waited before each connection but its first, in milliseconds.
    pub(crate) waits: Vec<u64>,
    /// What the suite says to a client as its server.
    pub(crate) script: scripted::Script,
    /// Upgrades that are not answered.
    pub(crate) stalled: Vec<Upgrade>,
    /// Reports that nobody has looked at yet.
    pub(crate) unread: VecDeque<Value>,
    /// Whether something was ordered that the client may not know yet.
    pub(crate) ordered: bool,
    /// When `took` was last said.
    pub(crate) since: Instant,
}

/// Plays a case against a peer whose timers and limits are `settings`.
pub async fn play(case: &Case, peer: Peer, settings: &Kept) -> Played {
    let mut play = Play {
        peer,
        log: Log::default(),
        kept: settings.clone(),
        links: BTreeMap::new(),
        current: "main".to_owned(),
        patience: PATIENCE,
        waiting: Instant::now(),
        mute: false,
        binary: case.needs == Level::Binary,
        probes: 0,
        reached: BTreeMap::new(),
        closing: BTreeSet::new(),
        ended: None,
        waits: Vec::new(),
        script: scripted::Script::default(),
        stalled: Vec::new(),
        unread: VecDeque::new(),
        ordered: false,
        since: Instant::now(),
    };
    // Null has to be said somehow; what names something that is kept only later is filled when it is used.
    let given = case
        .given
        .iter()
        .map(|(name, value)| (name.clone(), pattern::filled(value, &Kept::new()).unwrap_or_else(|_| value.clone())));
    play.kept.extend(given);
    let waits = case.conditions.waits_for.iter().filter_map(|name| settings.get(name)?.as_u64());
    play.patience += Duration::from_millis(waits.sum());
    if let Peer::Client(run) = &play.peer {
        play.patience = run.patience;
        play.kept.insert("url".to_owned(), Value::from(run.url.as_str()));
        play.kept.insert("authority".to_owned(), Value::from(run.authority.as_str()));
        let port = run.authority.rsplit_once(':').map_or("", |(_, port)| port);
        play.kept.insert("port".to_owned(), Value::from(port));
        play.kept.insert("path".to_owned(), Value::from(run.path.as_str()));
        play.kept.insert("token".to_owned(), Value::from(run.secret("token")));
        play.kept.insert("kilobyte".to_owned(), Value::from("x".repeat(1024)));
    }
    let patience = play.patience;
    let longest = patience * WAITS;
    let deadline = tokio::time::Instant::now() + longest;
    let mut ended = None;
    for (index, step) in case.steps.iter().enumerate() {
        let done = timeout_at(deadline, play.step(step)).await;
        if let Err(broken) = done.unwrap_or_else(|_| Err(play.endless(longest))) {
            ended = Some((index + 1, pattern::spelled(&words(step), &play.kept), play.unheard(broken)));
            break;
        }
    }
    for step in &case.afterwards {
        // The verdict stands by now.
        let _ = timeout(patience, play.step(step)).await;
    }
    // Nothing of one case may reach the next.
    for (name, link) in std::mem::take(&mut play.links) {
        match play.peer {
            // A session that is left behind would be one of the few that its subject may have.
            Peer::Server { .. } if !play.closing.contains(&name) => link.leave().await,
            _ => link.cut().await,
        }
    }
    let kept = play.kept;
    let took = u64::try_from(play.log.elapsed().as_millis()).unwrap_or(u64::MAX);
    let lines = play.log.into_lines();
    let mut played = Played { lines, took, ..Played::default() };
    if let Some((step, doing, broken)) = ended {
        played.step = Some(step);
        played.doing = Some(redacted(doing));
        match broken {
            Broken::Failed { expected, actual, nearest } => {
                played.expected = Some(redacted(pattern::spelled(&expected, &kept)));
                played.actual = Some(redacted(actual));
                played.nearest = nearest.map(redacted);
            }
            Broken::Impossible(why) => played.impossible = Some(why),
        }
    }
    played
}

impl Play {
    /// A peer that keeps every wait in time and comes to no end.
    fn endless(&mut self, longest: Duration) -> Broken {
        let longest = longest.as_millis();
        self.note(Origin::Suite, &format!("(the case was not over after {longest} ms)"));
        Broken::failed(format!("the end of the case within {longest} ms"), "no end of it")
    }

    async fn step(&mut self, step: &Step) -> Result<(), Broken> {
        self.waiting = Instant::now();
        match step {
            Step::Connect(connect) => self.connect(connect).await,
            Step::Accept(accept) => self.accept(accept).await,
            Step::Begin(begin) => self.begin(begin).await,
            Step::NoConnection(milliseconds) => self.no_connection(*milliseconds).await,
            Step::Ready(over) => self.ready(over).await,
            Step::Send(frame) => {
                let frame = pattern::filled(frame, &self.kept).map_err(Broken::Impossible)?;
                self.script.wrote(&frame);
                if frame["type"] == "drain" {
                    self.ended = Some(Instant::now());
                }
                self.write_frame(&frame).await
            }
            Step::Text(text) => {
                let text = pattern::filled(&Value::from(text.as_str()), &self.kept).map_err(Broken::Impossible)?;
                let text = text.as_str().unwrap_or_default();
                self.script.wrote(&serde_json::from_str(text).unwrap_or_default());
                self.write(text).await
            }
            Step::Large(bytes) => self.write(&"x".repeat(*bytes)).await,
            Step::Padded(padded) => {
                let mut frame = pattern::filled(&padded.frame, &self.kept).map_err(Broken::Impossible)?;
                frame["payload"] = json!("");
                let missing = self.amount(&padded.bytes)?.saturating_sub(frame.to_string().len() as u64);
                frame["payload"] = json!("x".repeat(usize::try_from(missing).unwrap_or_default()));
                self.write_frame(&frame).await
            }
            Step::Repeated(repeated) => {
                let times = usize::try_from(self.amount(&repeated.times)?).unwrap_or_default();
                let (before, after) = (self.fill(&repeated.before)?, self.fill(&repeated.after)?);
                self.write(&[before, repeated.part.repeat(times), after].concat()).await
            }
            Step::Binary(digits) => {
                let bytes = hexadecimal(&self.fill(digits)?)?;
                self.note(Origin::Suite, &format!("(binary, {} bytes)", bytes.len()));
                let written = timeout(self.patience, self.link()?.binary(bytes)).await;
                self.written(written)
            }
            Step::Envelope(envelope) => self.write_envelope(envelope).await,
            Step::Fragments(parts) => {
                let parts = parts.iter().map(|part| self.fill(part)).collect::<Result<Vec<_>, _>>()?;
                self.note(Origin::Suite, &format!("(in {} fragments) {}", parts.len(), parts.concat()));
                let parts = parts.iter().map(|part| part.as_bytes().to_vec()).collect();
                let written = timeout(self.patience, self.link()?.fragments(parts, true)).await;
                self.written(written)
            }
            Step::ByteFragments(parts) => {
                self.note(Origin::Suite, &format!("(in {} fragments, the bytes {})", parts.len(), parts.join(" ")));
                let parts = parts.iter().map(|digits| hexadecimal(digits)).collect::<Result<_, _>>()?;
                let written = timeout(self.patience, self.link()?.fragments(parts, true)).await;
                self.written(written)
            }
            Step::Endless(count) => {
                self.note(Origin::Suite, &format!("({count} fragments of 1024 bytes, and no end)"));
                // Nothing may stand between the fragments of a message (RFC 6455, section 5.4).
                self.mute = true;
                let written =
                    timeout(self.patience, self.link()?.fragments(vec![vec![b' '; 1024]; *count], false)).await;
                self.written(written)
            }
            Step::Bytes(digits) => {
                let digits = &self.fill(digits)?;
                let bytes = hexadecimal(digits)?;
                self.note(Origin::Suite, &format!("(text frame of the bytes {digits})"));
                let written = timeout(self.patience, self.link()?.bytes(bytes)).await;
                self.written(written)
            }
            Step::Expect(pattern) => self.expect(std::slice::from_ref(pattern)).await,
            Step::ExpectOneOf(patterns) => self.expect(patterns).await,
            Step::Until(pattern) => self.until(pattern, &[]).await,
            Step::UntilWithout(both) => self.until(&both.until, &both.never).await,
            Step::UntilAll(patterns) => self.until_all(patterns).await,
            Step::Closed(closed) => self.closed(closed).await,
            Step::Silence(_) => self.silence().await,
            Step::ControlPing(_) => {
                self.note(Origin::Suite, "(ping of the WebSocket)");
                let written = timeout(self.patience, self.link()?.control_ping()).await;
                self.written(written)
            }
            Step::Token(another) => self.another_token(another).await,
            Step::Mute(mute) => {
                self.mute = *mute;
                Ok(())
            }
            Step::Cut(_) => {
                self.note(Origin::Suite, "(cut)");
                let link = self.links.remove(&self.current).ok_or_else(|| self.no_link())?;
                link.cut().await;
                self.ended = Some(Instant::now());
                Ok(())
            }
            Step::Bye(code) => self.bye(self.code(code)?).await,
            Step::Close(code) => self.close(self.code(code)?).await,
            Step::Use(name) => {
                self.current = self.fill(name)?;
                Ok(())
            }
            Step::Kept(kept) => {
                let found = Value::Object(self.kept.clone().into_iter().collect());
                pattern::matches(kept, Some(&found), &mut self.kept)
                    .map_err(|reason| Broken::failed(kept.to_string(), reason))
            }
            Step::Stop(_) => self.stop().await,
            Step::Unlogged(texts) => self.unlogged(texts).await,
            Step::Order(order) => self.order(order),
            Step::Observe(pattern) => self.observe(pattern, &[]).await,
            Step::ObserveWithout(both) => self.observe(&both.until, &both.never).await,
            Step::ObserveAll(patterns) => self.observe_all(patterns).await,
            Step::Redacted(_) => self.redacted(),
            Step::Took(milliseconds) => {
                let took = self.since.elapsed().as_millis();
                self.since = Instant::now();
                if took >= u128::from(*milliseconds) {
                    return Ok(());
                }
                Err(Broken::failed(format!("at least {milliseconds} ms"), format!("{took} ms")))
            }
            Step::Waits(waits) => self.waited(waits),
            Step::Repeat(repeat) => {
                for index in 1..=self.amount(&repeat.times)? {
                    self.kept.insert("index".to_owned(), Value::from(index));
                    for step in &repeat.steps {
                        Box::pin(self.step(step)).await?;
                    }
                }
                Ok(())
            }
            Step::Pause(milliseconds) => {
                tokio::time::sleep(Duration::from_millis(self.amount(milliseconds)?)).await;
                Ok(())
            }
            Step::Quiet(milliseconds) => self.quiet(*milliseconds).await,
            Step::Within(milliseconds) => {
                self.patience = Duration::from_millis(self.amount(milliseconds)?);
                Ok(())
            }
        }
    }

    fn amount(&self, amount: &Amount) -> Result<u64, Broken> {
        amount.of(&self.kept).map_err(Broken::Impossible)
    }

    fn code(&self, amount: &Amount) -> Result<u16, Broken> {
        let code = self.amount(amount)?;
        u16::try_from(code).map_err(|_| Broken::Impossible(format!("{code} is no code")))
    }

    fn fill(&self, text: &str) -> Result<String, Broken> {
        let filled = pattern::filled(&Value::from(text), &self.kept).map_err(Broken::Impossible)?;
        Ok(filled.as_str().map_or_else(|| filled.to_string(), str::to_owned))
    }

    fn note(&mut self, origin: Origin, text: &str) {
        self.log.note(&self.current, origin, text);
    }

    fn no_link(&self) -> Broken {
        Broken::Impossible(format!("the case has no connection `{}` here", self.current))
    }

    fn link(&mut self) -> Result<&mut Link, Broken> {
        if !self.links.contains_key(&self.current) {
            return Err(self.no_link());
        }
        self.links.get_mut(&self.current).ok_or_else(|| Broken::Impossible(String::new()))
    }
}

fn hexadecimal(digits: &str) -> Result<Vec<u8>, Broken> {
    let wrong = || Broken::Impossible(format!("`{digits}` is not hexadecimal"));
    if !digits.is_ascii() || !digits.len().is_multiple_of(2) {
        return Err(wrong());
    }
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong())).collect()
}

/// A step in words, for a report.
fn words(step: &Step) -> String {
    match step {
        Step::Connect(connect) => match connect.hello.as_deref() {
            Some("upgrade") => "connect, with the hello in the upgrade".to_owned(),
            Some("none") => "connect, and say nothing".to_owned(),
            _ => "connect, and say hello".to_owned(),
        },
        Step::Accept(_) => "take the client's connection in".to_owned(),
        Step::Begin(_) => "make a client, and come to `ready`".to_owned(),
        Step::NoConnection(milliseconds) => format!("expect no connection for {milliseconds} ms"),
        Step::Ready(_) => "come to `ready`".to_owned(),
        Step::Send(frame) => format!("write {frame}"),
        Step::Text(text) => format!("write the text {text}"),
        Step::Large(bytes) => format!("write a text message of {bytes} bytes"),
        Step::Padded(padded) => format!("write {} in {} bytes", padded.frame, padded.bytes),
        Step::Repeated(repeated) => {
            let Repeated { before, part, times, after } = repeated;
            format!("write {before}, {times} times {part}, {after}")
        }
        Step::Binary(_) => "write a binary message".to_owned(),
        Step::Envelope(Envelope { frame, .. }) => format!("write {frame}, with a payload of bytes beside it"),
        Step::Fragments(parts) => format!("write {} in {} fragments", parts.concat(), parts.len()),
        Step::ByteFragments(parts) => format!("write the bytes {} in {} fragments", parts.join(" "), parts.len()),
        Step::Endless(count) => format!("write {count} fragments of a message that has no end"),
        Step::Bytes(digits) => format!("write a text frame of the bytes {digits}"),
        Step::Expect(pattern) => format!("expect {pattern}"),
        Step::ExpectOneOf(patterns) => {
            format!("expect one of {}", patterns.iter().map(Value::to_string).collect::<Vec<_>>().join(", "))
        }
        Step::Until(pattern) => format!("read until {pattern}"),
        Step::UntilWithout(both) => format!("read until {}", both.until),
        Step::UntilAll(patterns) => {
            format!("read until {}", patterns.iter().map(Value::to_string).collect::<Vec<_>>().join(" and "))
        }
        Step::Kept(kept) => format!("expect {kept} of what was kept"),
        Step::Stop(_) => "ask the server to go away".to_owned(),
        Step::Unlogged(_) => "look for secrets in the server's log".to_owned(),
        Step::Closed(closed) if closed.codes.is_empty() => "expect a close".to_owned(),
        Step::Closed(closed) => {
            format!("expect a close with {}", closed.codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" or "))
        }
        Step::Silence(_) => "ping twice, and expect nothing but the pongs".to_owned(),
        Step::ControlPing(_) => "write a ping of the WebSocket itself".to_owned(),
        Step::Token(another) => format!("get a token of `{}`", another.subject),
        Step::Mute(_) => "answer no ping".to_owned(),
        Step::Cut(_) => "break the connection off".to_owned(),
        Step::Bye(code) => format!("say bye with {code}, and close"),
        Step::Close(code) => format!("close with {code}, without a `bye`"),
        Step::Use(name) => format!("go on with the connection `{name}`"),
        Step::Order(order) => format!("let the client do {order}"),
        Step::Observe(pattern) => format!("expect the client to report {pattern}"),
        Step::ObserveWithout(both) => format!("expect the client to report {}", both.until),
        Step::ObserveAll(patterns) => format!(
            "expect the client to report {}",
            patterns.iter().map(Value::to_string).collect::<Vec<_>>().join(", and ")
        ),
        Step::Took(milliseconds) => format!("expect that all this took {milliseconds} ms at least"),
        Step::Waits(waits) => format!("look at how long the client waited before its last {} connections", waits.last),
        Step::Redacted(_) => "look for tokens in what the client has said".to_owned(),
        Step::Repeat(repeat) => format!("do {} steps {} times", repeat.steps.len(), repeat.times),
        Step::Pause(milliseconds) => format!("wait {milliseconds} ms"),
        Step::Quiet(milliseconds) => format!("expect nothing for {milliseconds} ms"),
        Step::Within(milliseconds) => format!("wait no longer than {milliseconds} ms for what follows"),
    }
}
