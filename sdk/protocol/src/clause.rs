//! Every rule of the protocol, once: the link from code to `PROTOCOL.md` to the conformance suite.

use std::fmt;

/// How binding a clause is (RFC 2119).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// Breaking it is a violation.
    Must,
    /// There may be good reasons against it.
    Should,
    /// A choice.
    May,
}

/// Whom a clause binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
    /// Both.
    Both,
}

/// The level of the protocol that a clause belongs to; a peer conforms level by level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Upgrade, stages, ready, sends, heartbeat, close. Every peer has it.
    Core,
    /// Sessions and inboxes that outlive a connection.
    Resume,
    /// Answers to sends, streamed and cancellable.
    Answers,
    /// Logs shared by subscribers.
    Topics,
    /// A fresh token on a living connection.
    Refresh,
    /// Binary payloads.
    Binary,
    /// Sends that follow another one to its handler.
    Streams,
    /// Messages that ask, and sends that answer them.
    Questions,
}

macro_rules! named {
    ($type:ident { $($variant:ident $name:literal),* $(,)? }) => {
        impl $type {
            /// Each there is, in the order of the document.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name, as `PROTOCOL.md` spells it.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

named!(Strength { Must "MUST", Should "SHOULD", May "MAY" });
named!(Side { Client "client", Server "server", Both "both" });
named!(Level {
    Core "Core", Resume "Resume", Answers "Answers", Topics "Topics", Refresh "Refresh", Binary "Binary",
    Streams "Streams", Questions "Questions",
});

macro_rules! clauses {
    ($($variant:ident $id:literal $strength:ident $side:ident $level:ident $text:literal)*) => {
        /// A rule of the protocol. Its id is stable for ever; the text here is the short form of `PROTOCOL.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Clause {
            $(#[doc = $text] $variant,)*
        }

        impl Clause {
            /// Every clause, in the order of the document.
            pub const ALL: &[Clause] = &[$(Clause::$variant),*];

            /// The stable id, such as `ready.gate`.
            pub const fn id(self) -> &'static str {
                match self { $(Clause::$variant => $id),* }
            }

            /// How binding it is.
            pub const fn strength(self) -> Strength {
                match self { $(Clause::$variant => Strength::$strength),* }
            }

            /// Whom it binds.
            pub const fn side(self) -> Side {
                match self { $(Clause::$variant => Side::$side),* }
            }

            /// The level that it belongs to.
            pub const fn level(self) -> Level {
                match self { $(Clause::$variant => Level::$level),* }
            }

            /// The rule, in a sentence.
            pub const fn text(self) -> &'static str {
                match self { $(Clause::$variant => $text),* }
            }
        }
    };
}

impl fmt::Display for Clause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.id())
    }
}

clauses! {
    UpgradeSubprotocol "upgrade.subprotocol" Must Both Core
        "The client offers `readywire.v1` first; the server selects it, and a client goes on with nothing else."
    UpgradeHello "upgrade.hello" May Client Core
        "The hello may ride in the upgrade as `readywire.hello.<base64url>`, at most 4096 bytes for the whole entry."
    UpgradeHelloNotFirst "upgrade.hello_not_first" Must Both Core
        "The entry with the hello is never the first, and is never selected."
    UpgradeFallback "upgrade.fallback" Must Client Core
        "After an upgrade that failed before ACCEPTED, the next attempt sends its hello as the first frame."
    UpgradeRedact "upgrade.redact" Must Both Core
        "Tokens, and the entry that holds the hello, never reach a log."
    UpgradeNodelay "upgrade.nodelay" Should Both Core
        "Nagle's algorithm is off on both ends."
    UpgradeOrigin "upgrade.origin" Must Server Core
        "An Origin, when present, is the server's own or listed; Host is checked; cookies never authenticate alone."
    UpgradeConfirm "upgrade.confirm" Must Client Core
        "A server that does not speak ACCEPTED is reported as unconfirmed, never taken as ready."
    UpgradeHttpRefusal "upgrade.http_refusal" Must Server Core
        "Only a wrong path, a forbidden Origin, overload, draining and what is no WebSocket are refused by HTTP."
    UpgradeNoExtensions "upgrade.no_extensions" Must Both Core
        "No WebSocket extension is negotiated in version 1."
    HelloFirst "hello.first" Must Client Core
        "The hello is the first frame, unless it rode in the upgrade."
    HelloOnce "hello.once" Must Client Core
        "There is one hello per connection."
    HelloTimeout "hello.timeout" Must Server Core
        "A hello that does not come in 3 s ends the connection with 4208."
    PreauthLimits "preauth.limits" Must Server Core
        "Before AUTHENTICATED a client gets 16 KiB and 32 frames in all, and nothing is started for it."
    PreauthConnections "preauth.connections" Should Server Core
        "Connections that are not authenticated are capped per address."
    FrameText "frame.text" Must Both Core
        "Every frame is a text message; a binary one that was not agreed ends the connection with 4415."
    FrameMalformed "frame.malformed" Must Both Core
        "A message is one JSON object of valid UTF-8, of at most 64 members where the protocol defines it."
    FrameType "frame.type" Must Both Core
        "A type that version 1 does not define is a violation."
    FrameTypeFirst "frame.type_first" Should Both Core
        "Senders write `type` first; receivers do not require it."
    FrameDirection "frame.direction" Must Both Core
        "A frame comes only from the side that may send it."
    FrameLevel "frame.level" Must Both Core
        "A type beyond Core is used only if both sides listed its level in `capabilities`."
    FrameField "frame.field" Must Both Core
        "Required fields are present and of their type; unknown fields are ignored."
    FrameUnknownValue "frame.unknown_value" Must Both Core
        "An unknown value of an enumeration acts as the generic one of its field."
    FrameInteger "frame.integer" Must Both Core
        "Integers are plain digits below 2^53."
    FrameDuplicateKey "frame.duplicate_key" Must Both Core
        "No object that the protocol defines holds a key twice."
    FrameDepth "frame.depth" Must Both Core
        "Nothing nests deeper than 64."
    FramePayload "frame.payload" Must Both Core
        "A payload is opaque JSON, passed on as the text that it is."
    FrameSize "frame.size" Must Both Core
        "No message is larger than `max_message_bytes`."
    StageAccepted "stage.accepted" Must Server Core
        "The server's first frame is `stage ACCEPTED`, with the connection's id."
    StageOrder "stage.order" Must Server Core
        "Stages come one at a time, in order, none skipped and none going back."
    StageFailure "stage.failure" Must Server Core
        "A step that fails ends the connection with its own code; none is skipped or replaced by nothing."
    StageProgress "stage.progress" Must Client Core
        "Only a new stage or a changed `pending` moves the client's deadline."
    StageDeadline "stage.deadline" Must Both Core
        "Every wait is finite; a timeout names the last stage confirmed and what was pending."
    StageUnknownNotReady "stage.unknown_not_ready" Must Both Core
        "What is not known to be ready is not ready."
    StageSharedStart "stage.shared_start" Should Server Core
        "A start-up that serves a subject goes on when its connection goes."
    StageDegraded "stage.degraded" Must Server Core
        "DEGRADED names the impaired services; it is still ready for everything else."
    ReadyGate "ready.gate" Must Both Core
        "No application frame passes before `ready` on that very connection."
    ReadyOnce "ready.once" Must Server Core
        "`ready` comes once per connection, after SERVICES_READY, and alone confirms PROCESSING_READY."
    ReadySamePath "ready.same_path" Must Server Core
        "The code that says `ready` is the code that processes the next message."
    ReadyLimits "ready.limits" Must Client Core
        "The client keeps within the `limits` of `ready`."
    SendIdIncreasing "send.id_increasing" Must Client Core
        "Ids strictly increase for the life of the session, or of the connection without Resume; gaps are allowed."
    SendWindow "send.window" Must Client Core
        "No more is in flight than `limits` allow."
    SendOrder "send.order" Must Server Core
        "Handlers start in the order of ids."
    SendDuplicate "send.duplicate" Must Server Resume
        "An id at or below `received` is answered again and never processed again."
    AckCumulative "ack.cumulative" Must Server Core
        "`ack` decides everything up to and including its id."
    AckWithin "ack.within" Should Server Core
        "An ack comes within 100 ms, or when half the window is undecided."
    AckNotAboveSent "ack.not_above_sent" Must Server Core
        "Neither `ack` nor `nack` names an id that was not written."
    NackBeforeAck "nack.before_ack" Must Server Core
        "A nack comes only before taking, and before any ack that covers its id."
    NackDegraded "nack.degraded" Must Client Core
        "A send refused for an impaired service is offered anew when that service works."
    NackHeld "nack.held" Should Client Core
        "While a refused send waits for its service, the application sees that, and which service it is."
    NackKept "nack.kept" Must Server Resume
        "A refusal is kept, and listed in `ready.refused`, until `settled` passes it."
    QueueBounds "queue.bounds" Must Client Core
        "What waits is bounded by count, bytes and age; when full, the newest is refused."
    QueueFifo "queue.fifo" Must Client Core
        "What waits goes out first in, first out; nothing overtakes the flush."
    SendOneOutcome "send.one_outcome" Must Client Core
        "Each send has exactly one outcome: acknowledged, refused, expired or unknown."
    SendFailedNeverSent "send.failed_never_sent" Must Client Core
        "A send that was reported failed is never on the wire afterwards."
    SendNoProgress "send.no_progress" Must Client Core
        "Sends in flight and no decision for 15 s end the connection with 4210."
    SendThreeConnections "send.three_connections" Must Client Resume
        "A send that was the oldest undecided one when three connections ended is unknown, and is skipped."
    SendReofferNewId "send.reoffer_new_id" Must Client Core
        "A send that is offered anew is a new send with a new id."
    SendKey "send.key" May Client Resume
        "A `key` of at most 64 bytes is recognised per subject for at least 2 min, and gets the first decision."
    SessionAttempt "session.attempt" Must Client Resume
        "`resume.attempt` strictly increases per session; the higher wins, a lower one is closed with 4013."
    SessionFence "session.fence" Must Server Resume
        "The former owner is fenced before `received` is read, and that is read before `ready`."
    SessionResumed "session.resumed" Must Server Resume
        "A failed resume is `resumed: false`, for one indistinguishable reason, and never a close."
    SessionSettled "session.settled" Must Client Resume
        "After a resume refusals are settled first, then `received` settles the rest."
    SessionDurability "session.durability" Must Server Resume
        "Taking is one step with `received`; `session.durability` says what it survives."
    SessionReceivedRange "session.received_range" Must Both Resume
        "`received` lies between the highest acknowledged and the highest written id."
    SessionLost "session.lost" Must Client Resume
        "When a session is lost, answers end, written sends are unknown, unwritten ones keep their place."
    SessionSubject "session.subject" Must Both Resume
        "A session resumes only for its subject; when the subject changed, nothing queued is sent."
    SessionToken "session.token" Must Server Resume
        "Session tokens have 128 random bits, are kept hashed, and rotate without a gap."
    SessionTtl "session.ttl" Must Server Resume
        "A detached session is kept for its TTL; `bye` 1000 ends it."
    SessionLimit "session.limit" Should Server Resume
        "A subject has 16 sessions at most; the oldest detached one goes first."
    SessionStored "session.stored" Must Client Resume
        "What outlives the client is stored on request only, and has one owner at a time."
    InboxOffset "inbox.offset" Must Server Resume
        "Offsets of an inbox are 1, 2, 3…; after a resume they go on where the client stopped."
    InboxWindow "inbox.window" Must Server Resume
        "No more than `window` is sent and not yet `taken`."
    InboxTaken "inbox.taken" Must Client Resume
        "`taken` covers only what was delivered."
    InboxBounded "inbox.bounded" Must Server Resume
        "An inbox is bounded; nothing is dropped before it was taken."
    InboxPoisoned "inbox.poisoned" Must Server Resume
        "An offset whose delivery ended three connections ends the session."
    AnswerRe "answer.re" Must Server Answers
        "Each part of an answer names its send in `re`."
    AnswerEnd "answer.end" Must Server Answers
        "Every answer ends with one `end`, cancelled or not."
    AnswerOutlives "answer.outlives" Must Server Answers
        "The work of an answer outlives the socket."
    AnswerUnknownRe "answer.unknown_re" Must Both Answers
        "An unknown `re` is ignored."
    AnswerSlowConsumer "answer.slow_consumer" Must Client Answers
        "An application that does not read fails only its own answer."
    CancelIdempotent "cancel.idempotent" Must Both Answers
        "A cancel may repeat; the client repeats it after each ready until `end`."
    TopicName "topic.name" Must Client Topics
        "The name of a topic has 1 to 256 bytes."
    TopicOffset "topic.offset" Must Server Topics
        "A topic has its own offsets and epoch; `subscribed` says where publications begin and the replay ends."
    TopicRecovered "topic.recovered" Must Server Topics
        "A gap since the offset asked for is told by `recovered: false`."
    TopicLast "topic.last" Must Both Topics
        "A subscription begins with as many of the latest as it asks for, until it holds something."
    TopicRefused "topic.refused" Must Server Topics
        "`unsubscribed` is refusal, revocation or `unsupported`."
    TopicAgain "topic.again" Must Server Topics
        "A subscribe to a topic that is followed begins that subscription anew."
    TopicBounded "topic.bounded" Must Server Topics
        "The subscriptions of a connection are bounded; one more is refused, the others go on."
    TopicWindow "topic.window" Must Server Topics
        "No more than `window` is sent and not yet `taken`, for each topic by itself."
    TopicTaken "topic.taken" Must Client Topics
        "`taken` with `topic` covers only what was delivered of that topic."
    TopicBetween "topic.between" Must Client Topics
        "Between a subscribe or unsubscribe and its answer the client drops that topic's publications."
    TopicRenew "topic.renew" Must Client Topics
        "The client subscribes anew on each connection, from what it holds."
    TopicEnded "topic.ended" Must Client Topics
        "A refused or revoked subscription is told once, and not asked for again."
    TopicSlowConsumer "topic.slow_consumer" Must Client Topics
        "An application that does not read fails only its own subscription."
    TopicPublish "topic.publish" Must Both Topics
        "A send with `topic` is decided like any other, and then appended once, in the order of ids."
    HistoryPage "history.page" Must Server Topics
        "A page has the newest publications below what was asked, in order, complete, and within its bounds."
    HistoryRefused "history.refused" Must Server Topics
        "Who may not follow a topic may not read what it has had; refusals are pages with a code."
    HistoryRequest "history.request" Must Client Topics
        "Pages are asked for after ready, by increasing numbers, up to 256 publications in each and 16 at a time."
    HistoryAgain "history.again" Must Client Topics
        "A page that was not answered is asked for again on the next connection, and comes once and whole."
    HistoryTimeout "history.timeout" Must Client Topics
        "A page that has not come in time is not waited for any longer."
    StreamOf "stream.of" Must Client Streams
        "A part names a stream that was opened before in this session, and none comes behind its `end`."
    StreamOrder "stream.order" Must Server Streams
        "The handler gets each part that was taken once, in the order of the ids, and then the end, or that it broke off."
    StreamOver "stream.over" Must Server Streams
        "A part of a stream that is not open is refused with `stream_over`; the connection goes on."
    StreamBounded "stream.bounded" Must Server Streams
        "The open streams of a session are bounded; one more is refused, the others go on."
    StreamStops "stream.stops" Must Client Streams
        "Nothing is written any more of a stream that is known to be over."
    StreamWhole "stream.whole" Must Client Streams
        "A stream that lacks a part is cancelled."
    StreamWindow "stream.window" Must Client Streams
        "No more parts of a stream are written and not read than `limits` allow; nothing else waits for them."
    StreamRead "stream.read" Must Server Streams
        "`read` tells which parts the handler has read, in time, and again after a resume."
    StreamOwnPace "stream.own_pace" Must Server Streams
        "A handler that does not read holds up nothing else."
    QuestionAsks "question.asks" Must Server Questions
        "A message asks only where Questions was agreed on; elsewhere the asker is told."
    QuestionOnce "question.once" Must Client Questions
        "Each question is answered by one send, with a payload or an error."
    QuestionRe "question.re" Must Client Questions
        "An answer names a question that was delivered in its session."
    QuestionAnswered "question.answered" Must Server Questions
        "The first answer is told to the asker; one to no open question is refused with `not_asked`."
    QuestionWithdrawn "question.withdrawn" Must Server Questions
        "A question that nobody waits for any more is withdrawn by `cancel`."
    QuestionStops "question.stops" Must Client Questions
        "Nothing is written any more for a question that is withdrawn, or of a session that is lost."
    QuestionCarried "question.carried" Must Client Questions
        "Who takes up a session answers the questions that were open there with `unhandled`."
    TokenEachAttempt "token.each_attempt" Must Client Core
        "The token provider is asked before each attempt."
    TokenReasons "token.reasons" Must Server Core
        "Missing, expired and invalid tokens are refused with different codes."
    TokenTicket "token.ticket" Must Server Core
        "A one-time ticket is spent by ticket and attempt."
    AuthRefresh "auth.refresh" Must Both Refresh
        "A fresh token is brought and answered over the living connection; one that is refused changes nothing."
    AuthAhead "auth.ahead" Must Client Refresh
        "The client brings a fresh token before the one in force ends, without being asked."
    AuthOneAtATime "auth.one_at_a_time" Must Client Refresh
        "One refresh is under way at a time."
    AuthRetry "auth.retry" Must Client Refresh
        "A refresh that failed is begun anew with backoff, unless asking again cannot help."
    AuthRequired "auth.required" Must Server Refresh
        "The server asks in time; a fresh token that is required and does not come ends the connection with 4103."
    AuthSubject "auth.subject" Must Server Refresh
        "A token for another subject is refused and changes nothing."
    DrainHandover "drain.handover" Must Both Core
        "After `drain` both sides go on with this connection, until its deadline or until the next is ready."
    DrainNext "drain.next" Must Client Core
        "The next connection is opened within the time named, beside the old one or after it, which goes on if it fails."
    DrainTransfer "drain.transfer" Must Client Resume
        "`ready` that resumes on the next connection is the transfer: the old one is closed with 4302, and nothing is lost."
    DrainNewSession "drain.new_session" Must Client Core
        "If the next connection resumes nothing, the old one goes on to decide what was written there, and nothing else."
    DrainAlternate "drain.alternate" Must Client Core
        "An alternate is the same host or a listed one, with the same scheme or a stronger one."
    HeartbeatServer "heartbeat.server" Must Server Core
        "The server pings every 20 s from ACCEPTED, one ping outstanding."
    HeartbeatPong "heartbeat.pong" Must Both Core
        "A ping is answered by a pong with the same nonce."
    HeartbeatDead "heartbeat.dead" Must Both Core
        "Silence after a ping, for as long as `heartbeat` says, ends the connection."
    HeartbeatProbe "heartbeat.probe" Should Client Core
        "After a wake-up the client probes, and gives up after 3 s."
    CloseOneReason "close.one_reason" Must Both Core
        "A connection ends once, with the first reason learned."
    CloseByeFirst "close.bye_first" Must Both Core
        "`bye` goes out before the close frame with the same code; its `class` outranks the code."
    CloseRange "close.range" Must Client Core
        "The range of a code decides what the client does."
    CloseReasonLength "close.reason_length" Must Both Core
        "A close reason has at most 123 bytes of UTF-8, cut on a character boundary."
    CloseNot1011 "close.not_1011" Must Server Core
        "1011 never means that the server is not ready."
    BackoffJitter "backoff.jitter" Must Client Core
        "The first retry comes within 500 ms, later ones with full jitter over a doubling bound up to 20 s."
    BackoffImmediate "backoff.immediate" Must Client Core
        "One retry at once for each stable ready, and no more."
    BackoffReset "backoff.reset" Must Client Core
        "Failures are forgotten after 5 s of stable ready, not before."
    BackoffRetryAfter "backoff.retry_after" Must Client Core
        "`retry_after_ms` outranks the backoff, up to 5 min."
    BinaryEnvelope "binary.envelope" Must Both Binary
        "A binary message is an envelope of a frame and its payload, and only after both sides listed it."
    BinaryPayload "binary.payload" Must Both Binary
        "A payload of bytes is opaque and stays bytes, even if there are none."
    BinarySize "binary.size" Must Both Binary
        "Limits count the whole envelope, windows its payload."
    BinaryDelivery "binary.delivery" Must Both Binary
        "A frame in an envelope has the order, id, acks and resume that it would have in a text message."
    BinaryUnsupported "binary.unsupported" Must Client Binary
        "Where Binary was not agreed on, a send of bytes is refused locally."
    BinaryReplaced "binary.replaced" Must Server Binary
        "Without Binary, a message of bytes keeps its offset, and is an error `unsupported`."
    BinaryPublication "binary.publication" Must Server Binary
        "Without Binary, a subscription ends in front of a publication of bytes, with `binary_not_agreed`."
    ExistingMode "existing.mode" Must Client Core
        "A server without this protocol is spoken to only as the application chose, and in its own words alone."
    ExistingOpening "existing.opening" Must Client Core
        "The application gives the opening messages anew before each attempt; they come first on each connection."
    ExistingGate "existing.gate" Must Client Core
        "Nothing but the opening leaves before the application's rule has said ready on this very connection."
    ExistingTimeout "existing.timeout" Must Client Core
        "A rule that does not say ready in time ends the connection, and the reason names what was seen last."
    ExistingUnconfirmed "existing.unconfirmed" Must Client Core
        "Without a rule sends go out at the open socket, and the state is `unconfirmed`, never ready."
    ExistingOutcome "existing.outcome" Must Client Core
        "A send is written, refused or expired, once; none is acknowledged, and none is written twice."
    ExistingClose "existing.close" Must Client Core
        "Close codes of such a server are its own: every end is retried with backoff, unless the application says stop."
    ExistingHeld "existing.held" Must Server Core
        "What a client without this protocol sends is held, bounded and in order, until its services are ready."
}
