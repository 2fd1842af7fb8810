//! Any frame of either direction, with any strings, integers and payloads.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use readywire_protocol::close::Class;
use readywire_protocol::config::Window;
use readywire_protocol::frame::{
    AnswerError, Auth, Bye, ClientFrame, Heartbeat, Hello, HistoryRequest, Limits, LostBecause, Message, Ready,
    Refusal, Resume, Send, ServerFrame, SessionGrant, StageNews, TokenNews,
};
use readywire_protocol::json::Payload;
use readywire_protocol::stage::Stage;

use crate::text;

/// Every character that JSON treats in a way of its own, and others.
pub(crate) fn string() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-z.]{0,8}",
        2 => proptest::collection::vec(prop_oneof![any::<char>(), Just('"'), Just('\\'), Just('\u{2028}'), Just('𝄞'), prop::char::range('\0', ' ')], 0..12)
            .prop_map(|characters| characters.into_iter().collect::<String>()),
    ]
}

pub(crate) fn integer() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0..100u64, 2 => 0..1u64 << 53, 1 => Just((1u64 << 53) - 1)]
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    text::value(4).prop_map(|text| Payload::parse(&text).expect("what was made as JSON is JSON"))
}

fn strings() -> impl Strategy<Value = Vec<String>> {
    vec(string(), 0..4)
}

fn window() -> impl Strategy<Value = Window> {
    (integer(), integer()).prop_map(|(messages, bytes)| Window { messages, bytes })
}

fn auth() -> impl Strategy<Value = Auth> {
    (string(), string()).prop_map(|(scheme, token)| Auth { scheme, token })
}

fn resume() -> impl Strategy<Value = Resume> {
    (string(), string(), integer(), integer(), integer()).prop_map(|(session, token, attempt, settled, inbox)| Resume {
        session,
        token,
        attempt,
        settled,
        inbox,
    })
}

fn class() -> impl Strategy<Value = Class> {
    prop::sample::select(vec![Class::Stop, Class::Reauthenticate, Class::Backoff, Class::Immediately, Class::Violation])
}

fn bye() -> impl Strategy<Value = Bye> {
    (integer(), string(), of(class()), of(integer()), of(string()))
        .prop_map(|(code, reason, class, retry_after_ms, clause)| Bye { code, reason, class, retry_after_ms, clause })
}

fn send() -> impl Strategy<Value = Send> {
    // An end is one of a stream, and what belongs to one opens none.
    let in_stream = (any::<bool>(), of(integer()), any::<bool>())
        .prop_map(|(stream, of, end)| (stream && of.is_none(), of, end && of.is_some()));
    // And what answers a question belongs to no stream.
    let role = (in_stream, of((integer(), of(error())))).prop_map(|(in_stream, reply)| match reply {
        Some((re, error)) => (false, None, false, Some(re), error),
        None => (in_stream.0, in_stream.1, in_stream.2, None, None),
    });
    (integer(), string(), payload(), any::<bool>(), of(string()), of(string()), role).prop_map(
        |(id, event, payload, answer, key, topic, (stream, of, end, re, error))| Send {
            id,
            event,
            payload,
            answer,
            key,
            topic,
            stream,
            of,
            end,
            re,
            error,
        },
    )
}

fn hello() -> impl Strategy<Value = Hello> {
    (of((string(), string())), of(auth()), strings(), of(window()), of(resume()))
        .prop_map(|(client, auth, capabilities, window, resume)| Hello { client, auth, capabilities, window, resume })
}

pub(crate) fn client_frame() -> impl Strategy<Value = ClientFrame> {
    prop_oneof![
        hello().prop_map(|hello| ClientFrame::Hello(Box::new(hello))),
        send().prop_map(ClientFrame::Send),
        (integer(), of(string())).prop_map(|(offset, topic)| ClientFrame::Taken { offset, topic }),
        integer().prop_map(|re| ClientFrame::Cancel { re }),
        (string(), of(integer()), of(string()), of(integer()))
            .prop_map(|(topic, offset, epoch, last)| ClientFrame::Subscribe { topic, offset, epoch, last }),
        string().prop_map(|topic| ClientFrame::Unsubscribe { topic }),
        (integer(), string(), integer(), of(integer()), of(string())).prop_map(
            |(request, topic, limit, before, epoch)| ClientFrame::History(HistoryRequest {
                request,
                topic,
                limit,
                before,
                epoch
            })
        ),
        auth().prop_map(ClientFrame::Auth),
        string().prop_map(|nonce| ClientFrame::Ping { nonce }),
        string().prop_map(|nonce| ClientFrame::Pong { nonce }),
        bye().prop_map(ClientFrame::Bye),
    ]
}

fn refusal() -> impl Strategy<Value = Refusal> {
    (integer(), string(), string(), any::<bool>(), of(integer()), of(string())).prop_map(
        |(id, code, message, retry, retry_after_ms, service)| Refusal {
            id,
            code,
            message,
            retry,
            retry_after_ms,
            service,
        },
    )
}

fn error() -> impl Strategy<Value = AnswerError> {
    (string(), string()).prop_map(|(code, message)| AnswerError { code, message })
}

fn stage_news() -> impl Strategy<Value = StageNews> {
    let stage = prop::sample::select(Stage::ALL.to_vec());
    (stage, of(string()), strings(), strings(), of(string()), of(integer())).prop_map(
        |(stage, connection, pending, impaired, reason, deadline_ms)| StageNews {
            stage,
            connection,
            pending,
            impaired,
            reason,
            deadline_ms,
        },
    )
}

fn grant() -> impl Strategy<Value = SessionGrant> {
    let lost = of(Just(LostBecause::NotFound));
    (string(), string(), integer(), any::<bool>(), lost, string(), string()).prop_map(
        |(id, token, ttl_ms, resumed, lost_because, subject, durability)| SessionGrant {
            id,
            token,
            ttl_ms,
            resumed,
            lost_because,
            subject,
            durability,
        },
    )
}

fn ready() -> impl Strategy<Value = Ready> {
    let limits = (integer(), integer(), integer(), of(integer()), of(integer())).prop_map(
        |(max_message_bytes, max_in_flight, max_in_flight_bytes, stream_messages, stream_bytes)| Limits {
            max_message_bytes,
            max_in_flight,
            max_in_flight_bytes,
            stream_messages,
            stream_bytes,
        },
    );
    let heartbeat = (integer(), integer()).prop_map(|(interval_ms, timeout_ms)| Heartbeat { interval_ms, timeout_ms });
    let refused = vec(refusal(), 0..4);
    (of(grant()), integer(), refused, strings(), limits, heartbeat, of(integer()), strings()).prop_map(
        |(session, received, refused, impaired, limits, heartbeat, token_expires_in_ms, capabilities)| Ready {
            session,
            received,
            refused,
            impaired,
            limits,
            heartbeat,
            token_expires_in_ms,
            capabilities,
        },
    )
}

fn message() -> impl Strategy<Value = Message> {
    (integer(), string(), payload(), of(integer()), any::<bool>(), of(error()), any::<bool>()).prop_map(
        |(offset, event, payload, re, end, error, asks)| Message { offset, event, payload, re, end, error, asks },
    )
}

fn token_news() -> impl Strategy<Value = TokenNews> {
    (of(integer()), any::<bool>(), of(integer()), of(error()), any::<bool>()).prop_map(
        |(expires_in_ms, required, deadline_ms, error, retry)| TokenNews {
            expires_in_ms,
            required,
            deadline_ms,
            error,
            retry,
        },
    )
}

pub(crate) fn server_frame() -> impl Strategy<Value = ServerFrame> {
    prop_oneof![
        stage_news().prop_map(ServerFrame::Stage),
        ready().prop_map(|ready| ServerFrame::Ready(Box::new(ready))),
        integer().prop_map(|id| ServerFrame::Ack { id }),
        refusal().prop_map(ServerFrame::Nack),
        message().prop_map(ServerFrame::Message),
        (string(), integer(), integer(), string(), any::<bool>()).prop_map(
            |(topic, offset, head, epoch, recovered)| ServerFrame::Subscribed { topic, offset, head, epoch, recovered }
        ),
        (string(), of(string()), any::<bool>()).prop_map(|(topic, code, retry)| ServerFrame::Unsubscribed {
            topic,
            code,
            retry
        }),
        (string(), integer(), of(integer()), string(), payload()).prop_map(
            |(topic, offset, request, event, payload)| ServerFrame::Publication {
                topic,
                offset,
                request,
                event,
                payload
            }
        ),
        (integer(), of(string()), integer(), any::<bool>(), of(string()), any::<bool>()).prop_map(
            |(request, epoch, head, more, code, retry)| ServerFrame::Page { request, epoch, head, more, code, retry }
        ),
        (integer(), integer()).prop_map(|(re, id)| ServerFrame::Read { re, id }),
        token_news().prop_map(ServerFrame::Auth),
        (integer(), vec(integer(), 0..4), of(string())).prop_map(|(deadline_ms, reconnect_after_ms, alternate)| {
            ServerFrame::Drain { deadline_ms, reconnect_after_ms, alternate }
        }),
        string().prop_map(|nonce| ServerFrame::Ping { nonce }),
        string().prop_map(|nonce| ServerFrame::Pong { nonce }),
        bye().prop_map(ServerFrame::Bye),
    ]
}
