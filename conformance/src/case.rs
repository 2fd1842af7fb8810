//! A case, as its file says it: a table of TOML in `cases/<side>/<part>.toml`.

use crate::amount::Amount;
use crate::conditions::Conditions;
use readywire_protocol::clause::{Clause, Level, Side, Strength};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// One thing to try, and what has to come of it.
#[derive(Clone, Debug)]
pub struct Case {
    /// `clause/slug`, stable for ever.
    pub id: String,
    /// The id that it has in its file; others that are alike have it, too.
    pub template: String,
    /// The rule that it tries.
    pub clause: Clause,
    /// Who is judged: never [`Side::Both`].
    pub side: Side,
    /// What it does, in one sentence.
    pub does: String,
    /// The level of the protocol that it needs.
    pub needs: Level,
    /// Parts of the contract that the peer has to have.
    pub requires: Vec<String>,
    /// Timers and limits whose value at the peer has to be known, by the contract's names; `${name}` in steps.
    pub settings: Vec<String>,
    /// What a client is made with, by the names of its options, as far as it takes them. Of what it does not take, the
    /// default of the specification holds. `${name}` in steps.
    pub options: Map<String, Value>,
    /// How binding it is.
    pub strength: Strength,
    /// What it needs of the run.
    pub conditions: Conditions,
    /// What is kept from the beginning: `each`, if it is one of several alike.
    pub given: BTreeMap<String, Value>,
    /// What is done, in order.
    pub steps: Vec<Step>,
    /// What is done at the end, whatever came of it.
    pub afterwards: Vec<Step>,
}

impl Case {
    /// How binding it is: as its clause, unless it says so itself. What is a choice for one end may bind the other.
    pub fn strength(&self) -> Strength {
        self.strength
    }
}

/// One step of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Judging a server: opens a connection.
    Connect(Connect),
    /// Judging a client: takes the next connection in.
    Accept(Accept),
    /// Judging a client: makes it, takes its first connection in, and says every stage and `ready`.
    Begin(Begin),
    /// Judging a client: no connection may come for so many milliseconds.
    NoConnection(u64),
    /// Judging a server: reads on to `ready`, through legal stages only. Judging a client: says every stage and `ready`.
    Ready(Map<String, Value>),
    /// Writes a frame.
    Send(Value),
    /// Writes a text message as it is.
    Text(String),
    /// Writes a text message made of one character repeated, so long in bytes.
    Large(usize),
    /// Writes a frame whose text has just so many bytes, since a string as its payload fills it up.
    Padded(Padded),
    /// Writes a binary message, given in hexadecimal.
    Binary(String),
    /// Writes a binary message that is an envelope.
    Envelope(Envelope),
    /// Writes a text message in which one part is repeated.
    Repeated(Repeated),
    /// Writes one text message in fragments.
    Fragments(Vec<String>),
    /// The same with fragments given in hexadecimal, since a character may be cut in two.
    ByteFragments(Vec<String>),
    /// Writes the beginning of a text message that has no end, so many fragments of 1024 bytes.
    Endless(usize),
    /// Writes bytes that are no WebSocket frame, given in hexadecimal.
    Bytes(String),
    /// The next frame has to match. One that came in an envelope has its payload as `payload_bytes`, in hexadecimal.
    Expect(Value),
    /// The next frame has to match one of these.
    ExpectOneOf(Vec<Value>),
    /// A frame has to come that matches; others before it are passed over.
    Until(Value),
    /// As `until`, but no frame that matches `never` may come before it.
    UntilWithout(UntilWithout),
    /// Frames have to come that match each of these, in any order; others between them are passed over.
    UntilAll(Vec<Value>),
    /// What is kept has to match; `text` is the text of the last frame, `code` that of the last close frame.
    Kept(Value),
    /// The peer has to close, with `bye` if the code is from 4000.
    Closed(Closed),
    /// Nothing but pings may come before the answer to a ping.
    Silence(bool),
    /// Writes a ping of the WebSocket itself, which is none of the protocol's.
    ControlPing(bool),
    /// Judging a server: gets one more token.
    Token(Another),
    /// Answers no ping from here on.
    Mute(bool),
    /// Breaks the connection off, without a close frame.
    Cut(bool),
    /// Closes, with a `bye` before the close frame.
    Bye(Amount),
    /// Closes, with a close frame alone.
    Close(Amount),
    /// Goes on with another connection.
    Use(String),
    /// Lets the testee do something; judging a client.
    Order(Value),
    /// The testee has to report something that matches; other reports before it are passed over.
    Observe(Value),
    /// As `observe`, but no report that matches `never` may come before it.
    ObserveWithout(UntilWithout),
    /// Reports that match each of these have to come, in any order; others between them are passed over.
    ObserveAll(Vec<Value>),
    /// So many milliseconds have to have passed since the case began, or since this step before.
    Took(u64),
    /// Nothing that the testee has said so far, reports and logs, may hold a token of this case.
    Redacted(bool),
    /// How long a client waited before each of its last connections; judging a client.
    Waits(Waits),
    /// Does steps again and again; `${index}` counts from 1.
    Repeat(Repeat),
    /// Asks the server to go away, as an operator would; judging a server of its own.
    Stop(bool),
    /// None of these may stand in the log of the server; judging a server of its own.
    Unlogged(Vec<String>),
    /// Waits, where there is nothing to wait for. Milliseconds.
    Pause(Amount),
    /// The client writes nothing for so many milliseconds: for connections that answer no `ping`.
    Quiet(u64),
    /// Waits no longer than so many milliseconds for what follows, instead of the usual.
    Within(Amount),
}

/// How to open a connection.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Connect {
    /// Its name in later steps.
    pub name: Option<String>,
    /// Where the hello goes: `frame` (the default), `upgrade` or `none`.
    pub hello: Option<String>,
    /// Whose token it carries; `alice` by default.
    pub subject: Option<String>,
    /// The credential in place of a token of the subject; an empty one leaves `auth` out.
    pub token: Option<String>,
    /// Members of the hello, over the usual ones.
    pub with: Map<String, Value>,
    /// Pads the hello to so many bytes, by a member that nobody knows.
    pub size: Option<usize>,
    /// The subprotocols to offer, in place of the usual; `${hello}` stands for the entry with the hello.
    pub protocols: Option<Vec<String>>,
    /// The subprotocol that has to be selected, in place of the usual; `none` for none.
    pub selected: Option<String>,
    /// Headers of the upgrade, over the usual ones; an empty one is left out.
    pub headers: BTreeMap<String, String>,
    /// The path, in place of that of the URL.
    pub path: Option<String>,
    /// The HTTP statuses that have to come instead of 101.
    pub refused: Option<Vec<u16>>,
}

/// One more token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Another {
    /// Whose.
    pub subject: String,
    /// The name under which it is kept.
    #[serde(rename = "as")]
    pub name: String,
}

/// How to take a connection in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// Its name in later steps.
    pub name: Option<String>,
    /// The subprotocol to select: `readywire.v1` by default, `none` for none.
    pub protocol: Option<String>,
    /// An HTTP status in place of 101.
    pub status: Option<Amount>,
    /// What the hello has to match, wherever it comes.
    pub hello: Option<Value>,
    /// `upgrade` or `frame`: where the hello has to come.
    pub from: Option<String>,
    /// The token that has to come, in the hello or in `Authorization`.
    pub token: Option<Value>,
    /// False: the hello is not waited for.
    pub wait: Option<bool>,
    /// True: the upgrade is not answered at all.
    pub stall: bool,
    /// The subprotocols that a client has to offer that takes the suite for a server without this protocol: these, and no
    /// hello. The first is selected, unless `protocol` says otherwise.
    pub existing: Option<Vec<String>>,
    /// True: it may come by another path than the one that the client was given.
    pub elsewhere: bool,
    /// The path that it has to come by, if not the one that the client was given.
    pub path: Option<String>,
    /// It may not come earlier than so many milliseconds after the end of the connection before, or the `drain` on it.
    pub after: Option<Amount>,
    /// It may not come later than so many milliseconds after that.
    pub before: Option<Amount>,
}

/// How to make a client, and bring it to ready.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Begin {
    /// Members of the order to connect, over the usual ones.
    pub connect: Map<String, Value>,
    /// What the hello has to match.
    pub hello: Option<Value>,
    /// Members of `ready`, over the usual ones.
    pub ready: Option<Value>,
}

/// A frame of a certain size.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Padded {
    /// The frame; its `payload` is added.
    pub frame: Value,
    /// The bytes of its text.
    pub bytes: Amount,
}

/// A frame and a payload of bytes beside it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The frame; a text stands for itself, whatever it is.
    pub frame: Value,
    /// The payload, in hexadecimal.
    #[serde(default)]
    pub payload: String,
    /// Zeros behind the payload make the whole message so long.
    pub bytes: Option<Amount>,
}

/// A text in which one part is repeated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// What comes first.
    #[serde(default)]
    pub before: String,
    /// What is repeated.
    pub part: String,
    /// How often.
    pub times: Amount,
    /// What comes last.
    #[serde(default)]
    pub after: String,
}

/// What has to come, and what may not come before it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UntilWithout {
    /// What has to come.
    pub until: Value,
    /// What may not.
    pub never: Vec<Value>,
}

/// How the peer has to close.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Closed {
    /// Any of these codes; empty: any code at all.
    pub codes: Vec<u16>,
    /// True: it answers a `bye`, or may not write one, so the close frame comes alone.
    pub alone: bool,
    /// True: the connection may also break off, since not every platform can write every close frame.
    pub broken: bool,
    /// The clause that `bye` has to name, if it names one.
    pub clause: Option<String>,
    /// What else `bye` has to match.
    pub bye: Option<Value>,
    /// What may not come before it.
    pub never: Vec<Value>,
}

/// How random the waits of a client have to be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waits {
    /// Those before so many connections are looked at, the last ones.
    pub last: usize,
    /// The shortest of them has to be below so many milliseconds.
    pub shortest_below: u64,
    /// The longest of them has to be so many milliseconds longer than the shortest.
    pub apart: u64,
}

/// Steps to do again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// How often.
    pub times: Amount,
    /// What.
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "case")]
    cases: Vec<Written>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    id: String,
    does: String,
    #[serde(default)]
    needs: Option<String>,
    #[serde(default)]
    strength: Option<String>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    settings: Vec<String>,
    #[serde(default)]
    options: Map<String, Value>,
    #[serde(default)]
    conditions: Conditions,
    /// Makes a case of each of these, whose name is added to the id; `${each}` stands for the value.
    #[serde(default)]
    each: BTreeMap<String, Value>,
    steps: Vec<Step>,
    #[serde(default)]
    afterwards: Vec<Step>,
}

/// Reads a file of cases for one side.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn parse(text: &str, side: Side) -> Result<Vec<Case>, String> {
    let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut cases = Vec::new();
    for mut written in file.cases {
        let each = std::mem::take(&mut written.each);
        let alike = understand(written, side)?;
        if each.is_empty() {
            cases.push(alike);
            continue;
        }
        for (name, value) in each {
            let id = format!("{}-{name}", alike.id);
            check_slug(&id, &name)?;
            cases.push(Case {
                id,
                template: alike.id.clone(),
                given: BTreeMap::from([("each".to_owned(), value)]),
                ..alike.clone()
            });
        }
    }
    Ok(cases)
}

fn check_slug(id: &str, slug: &str) -> Result<(), String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if slug.is_empty() || !slug.bytes().all(fits) {
        return Err(format!("`{id}`: a slug is lowercase words joined by hyphens"));
    }
    Ok(())
}

fn understand(written: Written, side: Side) -> Result<Case, String> {
    let Written { id, does, needs, strength, requires, settings, options, conditions, each: _, steps, afterwards } =
        written;
    let (clause, slug) = id.split_once('/').ok_or_else(|| format!("`{id}` is not `clause/slug`"))?;
    let known = Clause::ALL.iter().copied().find(|known| known.id() == clause);
    let clause = known.ok_or_else(|| format!("`{id}`: there is no clause `{clause}`"))?;
    check_slug(&id, slug)?;
    let needs = match needs {
        None => clause.level(),
        Some(name) => level(&name).ok_or_else(|| format!("`{id}`: there is no level `{name}`"))?,
    };
    let strength = match strength.as_deref() {
        None => clause.strength(),
        Some("MUST") => Strength::Must,
        Some(other) => return Err(format!("`{id}`: a case binds as its clause or as MUST, not as `{other}`")),
    };
    if steps.is_empty() {
        return Err(format!("`{id}` has no steps"));
    }
    if let Some(name) = conditions.waits_for.iter().find(|name| !settings.contains(name)) {
        return Err(format!("`{id}` waits for `{name}`, which is not among its settings"));
    }
    Ok(Case {
        template: id.clone(),
        id,
        clause,
        side,
        does,
        needs,
        requires,
        settings,
        options,
        strength,
        conditions,
        given: BTreeMap::new(),
        steps,
        afterwards,
    })
}

/// The level with this name.
pub fn level(name: &str) -> Option<Level> {
    Level::ALL.iter().copied().find(|level| level.name().eq_ignore_ascii_case(name))
}
