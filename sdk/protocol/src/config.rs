//! Limits and deadlines of both ends, with the defaults of version 1.

use crate::time::Duration;

/// How many and how large: messages, and bytes of their payloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Window {
    /// Messages.
    pub messages: u64,
    /// Bytes of payload.
    pub bytes: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { messages: 256, bytes: 1 << 20 }
    }
}

/// Parts of one stream that are written and not read, where nobody says otherwise (clause `stream.window`).
pub(crate) const DEFAULT_STREAM: Window = Window { messages: 64, bytes: 1 << 20 };

/// What a client waits for, keeps and retries.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientConfig {
    /// Name and version that the hello gives.
    pub agent: (String, String),
    /// Where the application connects to; what a server names instead is measured by it (clause `drain.alternate`).
    pub address: String,
    /// Further hosts that a server may name.
    pub alternates: Vec<String>,
    /// Whether the hello rides in the upgrade.
    pub hello_in_upgrade: bool,
    /// Whether the session is to outlive the client: `ClientEvent::Carried` tells what to store (clause
    /// `session.stored`).
    pub carried: bool,
    /// From dialling to the open socket.
    pub connect_timeout: Duration,
    /// How long one stage may take when the server names no deadline.
    pub stage_timeout: Duration,
    /// What is added to a deadline that the server names.
    pub stage_grace: Duration,
    /// The most that a client waits for readiness, whatever the server says.
    pub ready_cap: Duration,
    /// Sends waiting to be written: how many and how large.
    pub queue: Window,
    /// How long a send may wait to be written.
    pub queue_age: Duration,
    /// What the client takes before it has said `taken`.
    pub window: Window,
    /// Sends in flight and no decision for so long: 4210.
    pub progress_timeout: Duration,
    /// How long a probe may go unanswered.
    pub probe_timeout: Duration,
    /// `taken` waits so long for company.
    pub taken_delay: Duration,
    /// A fresh token is asked for so long before the one in force ends; half of its time at most.
    pub refresh_ahead: Duration,
    /// How long the application may take to give a fresh token.
    pub refresh_timeout: Duration,
    /// After the server's answer no other refresh begins for so long.
    pub refresh_pause: Duration,
    /// Bound of the first retry.
    pub backoff_first: Duration,
    /// Base of the backoff.
    pub backoff_base: Duration,
    /// Cap of the backoff.
    pub backoff_cap: Duration,
    /// A connection that was ready for so long forgets earlier failures.
    pub stable_after: Duration,
    /// The most that a `retry_after_ms` can ask.
    pub retry_after_cap: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            agent: ("readywire".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
            address: String::new(),
            alternates: Vec::new(),
            hello_in_upgrade: true,
            carried: false,
            connect_timeout: Duration::from_secs(10),
            stage_timeout: Duration::from_secs(10),
            stage_grace: Duration::from_secs(2),
            ready_cap: Duration::from_secs(300),
            queue: Window::default(),
            queue_age: Duration::from_secs(30),
            window: Window::default(),
            progress_timeout: Duration::from_secs(15),
            probe_timeout: Duration::from_secs(3),
            taken_delay: Duration::from_millis(50),
            refresh_ahead: Duration::from_secs(30),
            refresh_timeout: Duration::from_secs(10),
            refresh_pause: Duration::from_secs(1),
            backoff_first: Duration::from_millis(500),
            backoff_base: Duration::from_millis(500),
            backoff_cap: Duration::from_secs(20),
            stable_after: Duration::from_secs(5),
            retry_after_cap: Duration::from_secs(300),
        }
    }
}

/// What a server waits for, allows and keeps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerConfig {
    /// From the open socket to the hello.
    pub hello_timeout: Duration,
    /// From ACCEPTED to `ready`, over all.
    pub ready_timeout: Duration,
    /// Between pings.
    pub ping_interval: Duration,
    /// After a ping, with no byte from the client.
    pub ping_timeout: Duration,
    /// The largest message, in bytes.
    pub max_message_bytes: u64,
    /// Sends undecided at once.
    pub in_flight: Window,
    /// An ack waits so long for company.
    pub ack_delay: Duration,
    /// Frames before AUTHENTICATED.
    pub preauth_frames: u32,
    /// Bytes before AUTHENTICATED.
    pub preauth_bytes: u64,
    /// A fresh token is required so long before the one in force ends; a quarter of its time at most.
    pub refresh_demand: Duration,
    /// How long a detached session is kept.
    pub session_ttl: Duration,
    /// Sessions of one subject.
    pub sessions_per_subject: usize,
    /// What an inbox holds before its producers wait.
    pub inbox: Window,
    /// How long a key is recognised.
    pub key_memory: Duration,
    /// How long the former connection of a session, which may be gone with its process, is waited for.
    pub release_wait: Duration,
    /// Whether there are topics; without, every subscription is refused as unsupported.
    pub topics: bool,
    /// Topics that one connection follows.
    pub subscriptions: usize,
    /// Whether handlers read streams; without, the level is not spoken.
    pub has_streams: bool,
    /// Parts of one stream that are written and not read.
    pub stream: Window,
    /// Streams of one session that are open.
    pub streams: usize,
    /// `read` waits so long for company.
    pub read_delay: Duration,
    /// Whether the application asks questions; without, the level is not spoken.
    pub has_questions: bool,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            hello_timeout: Duration::from_secs(3),
            ready_timeout: Duration::from_secs(30),
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(10),
            max_message_bytes: 1 << 20,
            in_flight: Window { messages: 64, bytes: 1 << 20 },
            ack_delay: Duration::from_millis(20),
            preauth_frames: 32,
            preauth_bytes: 16 << 10,
            refresh_demand: Duration::from_secs(15),
            session_ttl: Duration::from_secs(120),
            sessions_per_subject: 16,
            inbox: Window { messages: 4096, bytes: 8 << 20 },
            key_memory: Duration::from_secs(120),
            release_wait: Duration::from_secs(2),
            topics: false,
            subscriptions: 256,
            has_streams: false,
            stream: DEFAULT_STREAM,
            streams: 16,
            read_delay: Duration::from_millis(20),
            has_questions: false,
        }
    }
}
