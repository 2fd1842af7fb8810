//! The command line. Every flag has its environment variable.

use crate::admin::AdminToken;
use crate::claims::Authority;
use crate::drain::DrainOptions;
use crate::gateway::ReadyRule;
use crate::secrets;
use clap::builder::{FalseyValueParser, NonEmptyStringValueParser};
use clap::{Args, Parser, Subcommand};
use ring::rand::SystemRandom;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  head -c 32 /dev/urandom | base64 > secret
  readywire-server --jwt-secret-file secret --listen 127.0.0.1:8080
  readywire-server --jwt-secret-file secret token --subject alice --ttl 5m
  readywire-server --jwt-secret-file secret --service search=3s --faults
  curl -d '{\"service_delay_ms\": {\"search\": 3000}}' http://127.0.0.1:8080/faults
  curl -X POST -H \"Authorization: Bearer $TOKEN\" http://127.0.0.1:8080/tickets
  curl -H \"Authorization: Bearer $TOKEN\" -d '{\"subject\": \"alice\", \"event\": \"notification\", \"payload\": 1}' \
    http://127.0.0.1:8080/notify
  curl -H \"Authorization: Bearer $ADMIN_TOKEN\" http://127.0.0.1:8080/admin/connections?stage=AUTHENTICATED

READYWIRE_JWT_SECRET can hold the secret itself, READYWIRE_ADMIN_TOKEN the admin token. RUST_LOG chooses what is logged, as in RUST_LOG=warn.";

const TOKEN_EXAMPLES: &str = "\
Examples:
  readywire-server token --jwt-secret-file secret --subject alice
  readywire-server token --jwt-secret-file secret --subject alice --ttl 43200s
  READYWIRE_JWT_SECRET_FILE=secret readywire-server token --subject bob --ttl 60s";

const LOG_EXAMPLES: &str = "\
Examples:
  readywire-server log --listen 127.0.0.1:7070
  readywire-server --jwt-secret-file secret --listen 127.0.0.1:8081 --log 127.0.0.1:7070";

const GATEWAY_EXAMPLES: &str = "\
Examples:
  readywire-server gateway --upstream ws://127.0.0.1:9000/chat --ready-when /type=welcome --anonymous
  readywire-server gateway --upstream ws://127.0.0.1:4000/graphql --upstream-protocol graphql-transport-ws \
    --opening '{\"type\":\"connection_init\",\"payload\":{\"token\":\"${token}\"}}' --ready-when /type=connection_ack \
    --jwt-secret-file secret
  readywire-server gateway --upstream ws://127.0.0.1:9000/ --ready-when '~^(welcome|hello)' --forward-token \
    --jwt-secret-file secret --listen 0.0.0.0:8080 --allow-origin https://app.example.org

Clients that speak Readywire get stages, ready, acknowledgements and resume, with the events `json` and `text`. Others are
let in as well: what they send is held until the application is ready, then passed on as it is.";

/// The Readywire reference server.
#[derive(Debug, Parser)]
#[command(name = "readywire-server", version, after_help = EXAMPLES)]
pub struct CommandLine {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How tokens are signed.
    #[command(flatten)]
    pub tokens: Tokens,
    /// Address to listen on; port 0 picks a free one.
    #[arg(long, env = "READYWIRE_LISTEN", default_value = "127.0.0.1:8080", global = true)]
    pub listen: SocketAddr,
    /// Origin whose pages may connect, besides the server's own (repeat, or separate by commas). Without any, a server
    /// on a loopback address lets every loopback page in.
    #[arg(long, env = "READYWIRE_ALLOW_ORIGIN", value_delimiter = ',', global = true)]
    pub allow_origin: Vec<String>,
    /// Folder of a web page to serve at `/`.
    #[arg(long, env = "READYWIRE_WEB_ROOT")]
    pub web_root: Option<PathBuf>,
    /// Take fault switches at POST /faults, and show at /plain what a server without this protocol does. For demonstrations and tests only.
    #[arg(long, env = "READYWIRE_FAULTS", value_parser = FalseyValueParser::new())]
    pub faults: bool,
    /// File with the token that opens GET /admin/connections and POST /admin/drain, at least 16 bytes. Without one there is no such route.
    #[arg(long, env = "READYWIRE_ADMIN_TOKEN_FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// A service that takes its time to start with each connection, as in `search=3s` (repeat).
    #[arg(long, env = "READYWIRE_SERVICE", value_delimiter = ',', value_parser = parse_service)]
    pub service: Vec<(String, Duration)>,
    /// Let clients in that do not speak the protocol: what they send is held until they are ready, then handed to the same
    /// handlers, as {"event", "payload"}.
    #[arg(long, env = "READYWIRE_GATE", value_parser = FalseyValueParser::new())]
    pub gate: bool,
    /// How long a connection may take from ACCEPTED to ready.
    #[arg(long, env = "READYWIRE_DEADLINE", default_value = "30s", value_parser = parse_duration, global = true)]
    pub deadline: Duration,
    /// How long before its token ends a client has to bring a fresh one; at most a quarter of the token's time.
    #[arg(long, env = "READYWIRE_REFRESH_DEMAND", default_value = "15s", value_parser = parse_duration)]
    pub refresh_demand: Duration,
    /// How long a ticket of POST /tickets may wait to be used.
    #[arg(long, env = "READYWIRE_TICKET_TTL", default_value = "30s", value_parser = parse_duration)]
    pub ticket_ttl: Duration,
    /// How long a session waits for its client to come back.
    #[arg(long, env = "READYWIRE_SESSION_TTL", default_value = "2m", value_parser = parse_duration)]
    pub session_ttl: Duration,
    /// Log to share with other servers, as `readywire-server log` prints it; without one, sessions end with this process.
    #[arg(long, env = "READYWIRE_LOG")]
    pub log: Option<SocketAddr>,
    /// How clients are let go.
    #[command(flatten)]
    pub drain: DrainFlags,
}

/// How clients are let go when the server goes away.
#[derive(Debug, Args)]
pub struct DrainFlags {
    /// Over how long clients are told to go; by default 10 ms for each, at least 250 ms and at most 20 s.
    #[arg(long, env = "READYWIRE_DRAIN_WINDOW", value_parser = parse_duration)]
    pub drain_window: Option<Duration>,
    /// After how long those that are still there are sent away; by default 5 s after the window.
    #[arg(long, env = "READYWIRE_DRAIN_DEADLINE", value_parser = parse_duration)]
    pub drain_deadline: Option<Duration>,
    /// How long answers may go on when all clients are gone, if a log outlives the server.
    #[arg(long, env = "READYWIRE_DRAIN_ANSWERS", default_value = "30s", value_parser = parse_duration)]
    pub drain_answers: Duration,
    /// Where clients are asked to go, as in `wss://other.example.com/ws`; by default to where they came from.
    #[arg(long, env = "READYWIRE_DRAIN_ALTERNATE")]
    pub drain_alternate: Option<String>,
}

impl DrainFlags {
    pub(crate) fn options(&self) -> DrainOptions {
        DrainOptions {
            window: self.drain_window,
            deadline: self.drain_deadline,
            answers: self.drain_answers,
            alternate: self.drain_alternate.clone(),
            ..DrainOptions::default()
        }
    }
}

/// How tokens are signed.
#[derive(Debug, Args)]
pub struct Tokens {
    /// File with the secret that signs tokens, at least 32 bytes; white space around it does not count.
    #[arg(long, env = "READYWIRE_JWT_SECRET_FILE", global = true)]
    pub jwt_secret_file: Option<PathBuf>,
    /// Issuer that tokens must name.
    #[arg(long, env = "READYWIRE_JWT_ISSUER", default_value = "readywire", global = true)]
    pub jwt_issuer: String,
    /// Audience that tokens must name.
    #[arg(long, env = "READYWIRE_JWT_AUDIENCE", default_value = "readywire", global = true)]
    pub jwt_audience: String,
}

/// What to do instead of serving.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Put the protocol in front of an existing WebSocket application, which stays as it is.
    #[command(after_help = GATEWAY_EXAMPLES)]
    Gateway(GatewayLine),
    /// Print a token that the server accepts.
    #[command(after_help = TOKEN_EXAMPLES)]
    Token {
        /// Whom it speaks for.
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        subject: String,
        /// How long it lasts, as in 60s, 5m or 1h; a part of a second counts as a whole.
        #[arg(long, default_value = "1h", value_parser = parse_duration)]
        ttl: Duration,
        /// A ticket, which is good for one attempt, in place of a token.
        #[arg(long)]
        ticket: bool,
    },
    /// Keep the log that several servers share, in memory, for processes of this machine only.
    ///
    /// For tests, and for restarting servers one after the other while this process stays. Whoever reaches the address
    /// may read and write everything, so it has to be a loopback address.
    #[command(after_help = LOG_EXAMPLES)]
    Log {
        /// Address to listen on; port 0 picks a free one.
        #[arg(long, default_value = "127.0.0.1:7070")]
        listen: SocketAddr,
    },
}

impl CommandLine {
    /// The token that opens the routes below `/admin`: from the file, or from `READYWIRE_ADMIN_TOKEN`; `None` if neither
    /// is there.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn admin_token(&self) -> Result<Option<AdminToken>, String> {
        let (source, token) = match &self.admin_token_file {
            Some(path) => (path.to_string_lossy(), read_secret(path)?),
            None => match std::env::var("READYWIRE_ADMIN_TOKEN") {
                Ok(token) if !token.is_empty() => ("READYWIRE_ADMIN_TOKEN".into(), token),
                _ => return Ok(None),
            },
        };
        let token = AdminToken::new(&token);
        token.map(Some).map_err(|error| format!("{source}: {error}; make one with `openssl rand -hex 32`"))
    }
}

/// An existing WebSocket application to stand in front of.
#[derive(Clone, Debug, Args)]
pub struct GatewayLine {
    /// Its address, as in ws://127.0.0.1:9000/chat.
    #[arg(long, env = "READYWIRE_UPSTREAM", value_parser = parse_web_socket)]
    pub upstream: String,
    /// A subprotocol to offer to it (repeat); it has to select one.
    #[arg(long)]
    pub upstream_protocol: Vec<String>,
    /// A message that each connection to it begins with (repeat). ${token} and ${subject} stand for the client's.
    #[arg(long)]
    pub opening: Vec<String>,
    /// The message by which it says that it is ready: POINTER=VALUE for JSON, as in /type=connection_ack, or ~REGEX. Without
    /// it readiness is unconfirmed, and clients are told so.
    #[arg(long)]
    pub ready_when: Option<ReadyRule>,
    /// How long it may take to be ready.
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    pub ready_within: Duration,
    /// Pass the client's token on, as Authorization: Bearer.
    #[arg(long)]
    pub forward_token: bool,
    /// Let clients in that have no token, as the subject `anonymous`.
    #[arg(long)]
    pub anonymous: bool,
    /// Sessions that clients without a token may have; each has a connection to the application.
    #[arg(long, default_value_t = 1024)]
    pub anonymous_sessions: usize,
}

fn parse_web_socket(text: &str) -> Result<String, String> {
    if text.starts_with("ws://") || text.starts_with("wss://") {
        return Ok(text.to_owned());
    }
    Err("expected an address that begins with ws:// or wss://".to_owned())
}

impl Tokens {
    /// The authority that these settings describe. The secret comes from the file, or from `READYWIRE_JWT_SECRET`.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn authority(&self) -> Result<Authority, String> {
        self.authority_or_none(false)
    }

    /// As [`Tokens::authority`]; if clients may be `anonymous`, no secret is needed, and without one no token is good.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub fn authority_or_none(&self, anonymous: bool) -> Result<Authority, String> {
        let secret = match &self.jwt_secret_file {
            Some(path) => read_secret(path)?,
            None if anonymous && std::env::var_os("READYWIRE_JWT_SECRET").is_none() => {
                secrets::draw::<32>(&SystemRandom::new())
            }
            // Not a flag: everybody on the machine can read a command line.
            None => std::env::var("READYWIRE_JWT_SECRET").map_err(|_| {
                "no secret to sign tokens with: give --jwt-secret-file FILE or set READYWIRE_JWT_SECRET".to_owned()
            })?,
        };
        Authority::new(secret.trim().as_bytes(), &self.jwt_issuer, &self.jwt_audience).map_err(|error| {
            let source =
                self.jwt_secret_file.as_ref().map_or("READYWIRE_JWT_SECRET".into(), |path| path.to_string_lossy());
            format!("{source}: {error}; make one with `head -c 32 /dev/urandom | base64`")
        })
    }
}

fn read_secret(path: &Path) -> Result<String, String> {
    let bytes =
        std::fs::read(path).map_err(|error| format!("cannot read the secret in {}: {error}", path.display()))?;
    String::from_utf8(bytes).map_err(|_| format!("the secret in {} is not text; base64 makes it one", path.display()))
}

fn parse_service(text: &str) -> Result<(String, Duration), String> {
    match text.split_once('=') {
        Some((name, delay)) if !name.is_empty() => Ok((name.to_owned(), parse_duration(delay)?)),
        _ => Err("expected NAME=DELAY, as in search=3s".to_owned()),
    }
}

/// Reads `250ms`, `60s`, `5m` or `1h`.
///
/// # Errors
/// What is expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no duration; expected a number with a unit, as in 250ms, 60s, 5m or 1h");
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let milliseconds = match unit {
        "ms" => Some(1),
        "s" => Some(1000),
        "m" => Some(60_000),
        "h" => Some(3_600_000),
        _ => None,
    };
    let total = milliseconds.and_then(|factor: u64| factor.checked_mul(number)).ok_or_else(wrong)?;
    Ok(Duration::from_millis(total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(parse_duration("43200s"), Ok(Duration::from_secs(12 * 3600)));
        assert_eq!(parse_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        for wrong in ["", "60", "s", "1.5s", "-1s", "60 s", "99999999999999999999s", "18446744073709551615h"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn services_and_tokens_are_read() {
        let line = CommandLine::parse_from(["readywire-server", "--service", "search=3s", "--service", "model=0s"]);
        assert_eq!(line.service[0], ("search".to_owned(), Duration::from_secs(3)));
        assert_eq!(line.service.len(), 2);
        let line = CommandLine::parse_from(["readywire-server", "token", "--subject", "alice", "--ttl", "60s"]);
        assert!(matches!(line.command, Some(Command::Token { ttl, .. }) if ttl.as_secs() == 60));
        assert!(CommandLine::try_parse_from(["readywire-server", "--service", "search"]).is_err());
        assert!(CommandLine::try_parse_from(["readywire-server", "token", "--subject", ""]).is_err());
    }

    #[test]
    fn a_gateway_is_read() {
        let gateway = |flags: &[&str]| {
            let line = [&["readywire-server", "gateway", "--listen", "127.0.0.1:0"], flags].concat();
            CommandLine::try_parse_from(line).map(|line| line.command)
        };
        let read =
            gateway(&["--upstream", "ws://a/b", "--ready-when", "/type=ack", "--opening", "x", "--opening", "y"]);
        let Ok(Some(Command::Gateway(line))) = read else { panic!("{read:?}") };
        assert!(line.ready_when.unwrap().says_ready(r#"{"type":"ack"}"#));
        assert_eq!(line.opening, ["x", "y"]);
        assert!(gateway(&["--upstream", "http://a"]).is_err());
        assert!(gateway(&["--upstream", "ws://a", "--ready-when", "type"]).is_err());
        assert!(gateway(&[]).is_err());
    }
}
