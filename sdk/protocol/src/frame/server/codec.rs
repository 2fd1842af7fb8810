//! Reading and writing them.

use super::*;
use crate::capability::{QUESTIONS, REFRESH, STREAMS, TOPICS};
use crate::clause::Clause;
use crate::error::PeerMisbehaved;
use crate::frame::client::nonce_frame;
use crate::frame::fields::{self, Fields};
use crate::json::ObjectWriter;

impl ServerFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// The clause that the text breaks.
    pub fn decode(text: &str) -> Result<Self, PeerMisbehaved> {
        Self::read(text, false)
    }

    /// Reads a frame whose payload is beside it.
    pub(in crate::frame) fn decode_enveloped(text: &str) -> Result<Self, PeerMisbehaved> {
        Self::read(text, true)
    }

    fn read(text: &str, enveloped: bool) -> Result<Self, PeerMisbehaved> {
        fields::read(text, enveloped, |name, fields| {
            Some(match name {
                "stage" => Self::Stage(StageNews::decode(fields)),
                "ready" => Self::Ready(Box::new(Ready::decode(fields))),
                "ack" => Self::Ack { id: fields.integer("id") },
                "nack" => Self::Nack(Refusal::decode(fields)),
                "message" => Self::Message(Message {
                    offset: fields.integer("offset"),
                    event: fields.optional_string("event").unwrap_or_default(),
                    payload: fields.payload("payload"),
                    re: fields.optional_integer("re"),
                    end: fields.flag("end"),
                    error: AnswerError::decode(fields),
                    asks: QUESTIONS && fields.flag("asks"),
                }),
                // Of a level that this build does not have: that it came is all that counts (clause `frame.level`).
                "subscribed" | "unsubscribed" | "publication" | "page" if !TOPICS => {
                    Self::Unsubscribed { topic: String::new(), code: None, retry: false }
                }
                "read" if !STREAMS => Self::Read { re: 0, id: 0 },
                "cancel" if !QUESTIONS => Self::Cancel { re: 0 },
                "auth" if !REFRESH => Self::Auth(TokenNews::default()),
                "subscribed" => Self::Subscribed {
                    topic: fields.string("topic"),
                    offset: fields.integer("offset"),
                    head: fields.integer("head"),
                    epoch: fields.string("epoch"),
                    recovered: fields.flag("recovered"),
                },
                "unsubscribed" => Self::Unsubscribed {
                    topic: fields.string("topic"),
                    code: fields.optional_string("code"),
                    retry: fields.flag("retry"),
                },
                "publication" => Self::Publication {
                    topic: fields.string("topic"),
                    offset: fields.integer("offset"),
                    request: fields.optional_integer("request"),
                    event: fields.string("event"),
                    payload: fields.payload("payload"),
                },
                "page" => Self::Page {
                    request: fields.integer("request"),
                    epoch: fields.optional_string("epoch"),
                    head: fields.optional_integer("head").unwrap_or(0),
                    more: fields.flag("more"),
                    code: fields.optional_string("code"),
                    retry: fields.flag("retry"),
                },
                "read" => Self::Read { re: fields.integer("re"), id: fields.integer("id") },
                "cancel" => Self::Cancel { re: fields.integer("re") },
                "auth" => Self::Auth(TokenNews {
                    expires_in_ms: fields.optional_integer("expires_in_ms"),
                    required: fields.flag("required"),
                    deadline_ms: fields.optional_integer("deadline_ms"),
                    error: AnswerError::decode(fields),
                    retry: fields.flag("retry"),
                }),
                "drain" => Self::Drain {
                    deadline_ms: fields.integer("deadline_ms"),
                    reconnect_after_ms: fields.integers("reconnect_after_ms"),
                    alternate: fields.optional_string("alternate"),
                },
                "ping" => Self::Ping { nonce: fields.string("nonce") },
                "pong" => Self::Pong { nonce: fields.string("nonce") },
                "bye" => Self::Bye(Bye::decode(fields)),
                _ => return None,
            })
        })
    }

    /// Writes the frame. A payload of bytes is no text: see `to_wire`.
    pub fn encode(&self) -> String {
        match self {
            Self::Stage(news) => news.encode(),
            Self::Ready(ready) => ready.encode(),
            Self::Ack { id } => {
                let mut writer = ObjectWriter::typed("ack");
                writer.integer("id", *id);
                writer.finish()
            }
            Self::Nack(refusal) => {
                let mut writer = ObjectWriter::typed("nack");
                refusal.members(&mut writer);
                writer.finish()
            }
            Self::Message(message) => {
                let mut writer = ObjectWriter::typed("message");
                writer.integer("offset", message.offset);
                writer.string("event", &message.event);
                writer.optional_integer("re", message.re);
                writer.flag("end", message.end);
                writer.flag("asks", message.asks);
                AnswerError::member(&mut writer, message.error.as_ref());
                writer.payload(&message.payload);
                writer.finish()
            }
            Self::Subscribed { topic, offset, head, epoch, recovered } => {
                let mut writer = ObjectWriter::typed("subscribed");
                writer.string("topic", topic);
                writer.integer("offset", *offset);
                writer.integer("head", *head);
                writer.string("epoch", epoch);
                writer.boolean("recovered", *recovered);
                writer.finish()
            }
            Self::Unsubscribed { topic, code, retry } => {
                let mut writer = ObjectWriter::typed("unsubscribed");
                writer.string("topic", topic);
                writer.optional_string("code", code.as_deref());
                writer.flag("retry", *retry);
                writer.finish()
            }
            Self::Publication { topic, offset, request, event, payload } => {
                let mut writer = ObjectWriter::typed("publication");
                writer.string("topic", topic);
                writer.integer("offset", *offset);
                writer.optional_integer("request", *request);
                writer.string("event", event);
                writer.payload(payload);
                writer.finish()
            }
            Self::Page { request, epoch, head, more, code, retry } => {
                let mut writer = ObjectWriter::typed("page");
                writer.integer("request", *request);
                writer.optional_string("epoch", epoch.as_deref());
                writer.integer("head", *head);
                writer.flag("more", *more);
                writer.optional_string("code", code.as_deref());
                writer.flag("retry", *retry);
                writer.finish()
            }
            Self::Read { re, id } => {
                let mut writer = ObjectWriter::typed("read");
                writer.integer("re", *re);
                writer.integer("id", *id);
                writer.finish()
            }
            Self::Cancel { re } => {
                let mut writer = ObjectWriter::typed("cancel");
                writer.integer("re", *re);
                writer.finish()
            }
            Self::Auth(news) => {
                let mut writer = ObjectWriter::typed("auth");
                writer.optional_integer("expires_in_ms", news.expires_in_ms);
                writer.flag("required", news.required);
                writer.optional_integer("deadline_ms", news.deadline_ms);
                AnswerError::member(&mut writer, news.error.as_ref());
                writer.flag("retry", news.retry);
                writer.finish()
            }
            Self::Drain { deadline_ms, reconnect_after_ms, alternate } => {
                let mut writer = ObjectWriter::typed("drain");
                writer.integer("deadline_ms", *deadline_ms);
                writer.array("reconnect_after_ms", reconnect_after_ms.iter().map(u64::to_string));
                writer.optional_string("alternate", alternate.as_deref());
                writer.finish()
            }
            Self::Ping { nonce } => nonce_frame("ping", nonce),
            Self::Pong { nonce } => nonce_frame("pong", nonce),
            Self::Bye(bye) => bye.encode(),
        }
    }
}

impl StageNews {
    fn decode(fields: &Fields<'_, '_>) -> Self {
        let stage = Stage::parse(&fields.string("stage")).unwrap_or_else(|| {
            fields.note(PeerMisbehaved::new(Clause::StageOrder, "a stage that this version does not have"));
            Stage::Closed
        });
        Self {
            stage,
            connection: fields.optional_string("connection"),
            pending: fields.strings("pending"),
            impaired: fields.strings("impaired"),
            reason: fields.optional_string("reason"),
            deadline_ms: fields.optional_integer("deadline_ms"),
        }
    }

    fn encode(&self) -> String {
        let mut writer = ObjectWriter::typed("stage");
        writer.string("stage", self.stage.name());
        writer.optional_string("connection", self.connection.as_deref());
        writer.strings("pending", &self.pending);
        writer.strings("impaired", &self.impaired);
        writer.optional_string("reason", self.reason.as_deref());
        writer.optional_integer("deadline_ms", self.deadline_ms);
        writer.finish()
    }
}

impl Ready {
    fn decode(fields: &Fields<'_, '_>) -> Self {
        let session = fields.optional_object("session").map(|session| SessionGrant::decode(&session));
        let refused = fields.objects("refused").iter().map(Refusal::decode).collect();
        let limits = fields.object("limits");
        let heartbeat = fields.object("heartbeat");
        let auth = fields.optional_object("auth");
        Self {
            session,
            received: fields.optional_integer("received").unwrap_or(0),
            refused,
            impaired: fields.strings("impaired"),
            limits: Limits {
                max_message_bytes: limits.integer("max_message_bytes"),
                max_in_flight: limits.integer("max_in_flight"),
                max_in_flight_bytes: limits.integer("max_in_flight_bytes"),
                stream_messages: STREAMS.then(|| limits.optional_integer("stream_messages")).flatten(),
                stream_bytes: STREAMS.then(|| limits.optional_integer("stream_bytes")).flatten(),
            },
            heartbeat: Heartbeat {
                interval_ms: heartbeat.integer("interval_ms"),
                timeout_ms: heartbeat.integer("timeout_ms"),
            },
            token_expires_in_ms: auth.and_then(|auth| auth.optional_integer("expires_in_ms")),
            capabilities: fields.strings("capabilities"),
        }
    }

    fn encode(&self) -> String {
        let mut writer = ObjectWriter::typed("ready");
        if let Some(session) = &self.session {
            writer.raw("session", &session.encode());
        }
        writer.integer("received", self.received);
        writer.array(
            "refused",
            self.refused.iter().map(|refusal| {
                let mut inner = ObjectWriter::new();
                refusal.members(&mut inner);
                inner.finish()
            }),
        );
        writer.strings("impaired", &self.impaired);
        let mut limits = ObjectWriter::new();
        limits.integer("max_message_bytes", self.limits.max_message_bytes);
        limits.integer("max_in_flight", self.limits.max_in_flight);
        limits.integer("max_in_flight_bytes", self.limits.max_in_flight_bytes);
        limits.optional_integer("stream_messages", self.limits.stream_messages);
        limits.optional_integer("stream_bytes", self.limits.stream_bytes);
        writer.raw("limits", &limits.finish());
        let mut heartbeat = ObjectWriter::new();
        heartbeat.integer("interval_ms", self.heartbeat.interval_ms);
        heartbeat.integer("timeout_ms", self.heartbeat.timeout_ms);
        writer.raw("heartbeat", &heartbeat.finish());
        if let Some(expires) = self.token_expires_in_ms {
            let mut auth = ObjectWriter::new();
            auth.integer("expires_in_ms", expires);
            writer.raw("auth", &auth.finish());
        }
        writer.strings("capabilities", &self.capabilities);
        writer.finish()
    }
}

impl SessionGrant {
    fn decode(fields: &Fields<'_, '_>) -> Self {
        Self {
            id: fields.string("id"),
            token: fields.string("token"),
            ttl_ms: fields.optional_integer("ttl_ms").unwrap_or(0),
            resumed: fields.flag("resumed"),
            lost_because: fields.optional_string("lost_because").map(|_| LostBecause::NotFound),
            subject: fields.string("subject"),
            durability: fields.optional_string("durability").unwrap_or_else(process),
        }
    }

    fn encode(&self) -> String {
        let mut writer = ObjectWriter::new();
        writer.string("id", &self.id);
        writer.string("token", &self.token);
        writer.integer("ttl_ms", self.ttl_ms);
        writer.boolean("resumed", self.resumed);
        writer.optional_string("lost_because", self.lost_because.map(|LostBecause::NotFound| "not_found"));
        writer.string("subject", &self.subject);
        writer.string("durability", &self.durability);
        writer.finish()
    }
}

impl Refusal {
    /// A refusal for good, without words for a person.
    pub fn new(id: u64, code: impl Into<String>) -> Self {
        let (code, message) = (code.into(), String::new());
        Self { id, code, message, retry: false, retry_after_ms: None, service: None }
    }

    fn decode(fields: &Fields<'_, '_>) -> Self {
        Self {
            id: fields.integer("id"),
            code: fields.string("code"),
            message: fields.optional_string("message").unwrap_or_default(),
            retry: fields.flag("retry"),
            retry_after_ms: fields.optional_integer("retry_after_ms"),
            service: fields.optional_string("service"),
        }
    }

    fn members(&self, writer: &mut ObjectWriter) {
        writer.integer("id", self.id);
        writer.string("code", &self.code);
        writer.string("message", &self.message);
        writer.flag("retry", self.retry);
        writer.optional_integer("retry_after_ms", self.retry_after_ms);
        writer.optional_string("service", self.service.as_deref());
    }
}

impl AnswerError {
    pub(in crate::frame) fn decode(fields: &Fields<'_, '_>) -> Option<Self> {
        let error = fields.optional_object("error")?;
        Some(Self { code: error.string("code"), message: error.optional_string("message").unwrap_or_default() })
    }

    pub(in crate::frame) fn member(writer: &mut ObjectWriter, error: Option<&Self>) {
        if let Some(error) = error {
            let mut inner = ObjectWriter::new();
            inner.string("code", &error.code);
            inner.string("message", &error.message);
            writer.raw("error", &inner.finish());
        }
    }
}
