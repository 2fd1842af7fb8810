//! How records and messages are written down: JSON, for a person can read it, and a payload as it is.

use super::Moment;
use readywire_protocol::frame::{AnswerError, Refusal};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{SecretHash, Session, SessionMessage, SessionRecord};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Written {
    Began {
        subject: String,
        token: SecretHash,
        keeps_refusals: u64,
    },
    Bound {
        attempt: u64,
        settled: u64,
        presented: SecretHash,
        token: SecretHash,
    },
    Confirmed,
    Decided {
        through: u64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        refused: Vec<WrittenRefusal>,
    },
    Cancelled {
        re: u64,
    },
    Detached {
        at: u64,
    },
    Blamed {
        untaken: Option<u64>,
    },
    Ended,
    Whole(WrittenSession),
}

#[derive(Serialize, Deserialize)]
struct WrittenRefusal {
    id: u64,
    code: String,
    message: String,
    retry: bool,
    retry_after_ms: Option<u64>,
    service: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSession {
    subject: String,
    tokens: Vec<SecretHash>,
    attempt: u64,
    fence: u64,
    detached_at: Option<u64>,
    received: u64,
    refused: Vec<WrittenRefusal>,
    keeps_refusals: u64,
    blamed: Option<(u64, u32)>,
    over: bool,
}

/// What stands before the payload of a message.
#[derive(Serialize, Deserialize)]
struct Header {
    event: String,
    /// When it was appended.
    at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    re: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    end: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<(String, String)>,
    /// Whether the payload is bytes, and not JSON text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bytes: bool,
}

/// Writes a record.
pub(super) fn encode_record(record: &SessionRecord) -> Vec<u8> {
    json(&Written::from(record))
}

/// Reads a record; `None` for what this version does not know.
pub(super) fn decode_record(data: &[u8]) -> Option<SessionRecord> {
    let written: Written = serde_json::from_slice(data).ok()?;
    Some(written.into())
}

/// Writes a message of an inbox: its header on one line, and its payload.
pub(super) fn encode_message(message: &SessionMessage, at: Moment) -> Vec<u8> {
    let SessionMessage { event, payload, re, end, error } = message;
    let error = error.as_ref().map(|error| (error.code.clone(), error.message.clone()));
    let (content, bytes) = match (payload.text(), payload.bytes()) {
        (Some(text), _) => (text.as_bytes(), false),
        (None, bytes) => (bytes.unwrap_or_default(), true),
    };
    let mut data = json(&Header { event: event.clone(), at: at.0, re: *re, end: *end, error, bytes });
    data.reserve_exact(1 + content.len());
    data.push(b'\n');
    data.extend_from_slice(content);
    data
}

/// Reads a message of an inbox, and when it was appended.
pub(super) fn decode_message(data: &[u8]) -> Option<(SessionMessage, Moment)> {
    let line = data.iter().position(|byte| *byte == b'\n')?;
    let (header, content) = (&data[..line], &data[line + 1..]);
    let Header { event, at, re, end, error, bytes } = serde_json::from_slice(header).ok()?;
    let payload = match bytes {
        true => Payload::from(content.to_vec()),
        false => Payload::parse(std::str::from_utf8(content).ok()?).ok()?,
    };
    let error = error.map(|(code, message)| AnswerError { code, message });
    Some((SessionMessage { event, payload, re, end, error }, Moment(at)))
}

/// Plain structures of text and numbers always are JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl From<&SessionRecord> for Written {
    fn from(record: &SessionRecord) -> Self {
        match record.clone() {
            SessionRecord::Began { subject, token, keeps_refusals } => Self::Began { subject, token, keeps_refusals },
            SessionRecord::Bound { attempt, settled, presented, token } => {
                Self::Bound { attempt, settled, presented, token }
            }
            SessionRecord::Confirmed => Self::Confirmed,
            SessionRecord::Decided { through, refused } => {
                Self::Decided { through, refused: refused.into_iter().map(WrittenRefusal::from).collect() }
            }
            SessionRecord::Cancelled { re } => Self::Cancelled { re },
            SessionRecord::Detached { at } => Self::Detached { at },
            SessionRecord::Blamed { untaken } => Self::Blamed { untaken },
            SessionRecord::Ended => Self::Ended,
            SessionRecord::Whole(session) => {
                let Session {
                    subject,
                    tokens,
                    attempt,
                    fence,
                    detached_at,
                    received,
                    refused,
                    keeps_refusals,
                    blamed,
                    over,
                } = *session;
                let refused = refused.into_values().map(WrittenRefusal::from).collect();
                Self::Whole(WrittenSession {
                    subject,
                    tokens,
                    attempt,
                    fence,
                    detached_at,
                    received,
                    refused,
                    keeps_refusals,
                    blamed,
                    over,
                })
            }
        }
    }
}

impl From<Written> for SessionRecord {
    fn from(written: Written) -> Self {
        match written {
            Written::Began { subject, token, keeps_refusals } => Self::Began { subject, token, keeps_refusals },
            Written::Bound { attempt, settled, presented, token } => Self::Bound { attempt, settled, presented, token },
            Written::Confirmed => Self::Confirmed,
            Written::Decided { through, refused } => {
                Self::Decided { through, refused: refused.into_iter().map(Refusal::from).collect() }
            }
            Written::Cancelled { re } => Self::Cancelled { re },
            Written::Detached { at } => Self::Detached { at },
            Written::Blamed { untaken } => Self::Blamed { untaken },
            Written::Ended => Self::Ended,
            Written::Whole(session) => {
                let WrittenSession {
                    subject,
                    tokens,
                    attempt,
                    fence,
                    detached_at,
                    received,
                    refused,
                    keeps_refusals,
                    blamed,
                    over,
                } = session;
                let refused = refused.into_iter().map(|refusal| (refusal.id, refusal.into())).collect();
                Self::Whole(Box::new(Session {
                    subject,
                    tokens,
                    attempt,
                    fence,
                    detached_at,
                    received,
                    refused,
                    keeps_refusals,
                    blamed,
                    over,
                }))
            }
        }
    }
}

impl From<Refusal> for WrittenRefusal {
    fn from(refusal: Refusal) -> Self {
        let Refusal { id, code, message, retry, retry_after_ms, service } = refusal;
        Self { id, code, message, retry, retry_after_ms, service }
    }
}

impl From<WrittenRefusal> for Refusal {
    fn from(written: WrittenRefusal) -> Self {
        let WrittenRefusal { id, code, message, retry, retry_after_ms, service } = written;
        Self { id, code, message, retry, retry_after_ms, service }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(id: u64) -> Refusal {
        Refusal {
            id,
            code: "no\n".to_owned(),
            message: "\"why\"".to_owned(),
            retry: true,
            retry_after_ms: Some(5),
            service: Some("search".to_owned()),
        }
    }

    #[test]
    fn every_record_is_read_as_it_was_written() {
        let mut records = vec![
            SessionRecord::Began { subject: "ä/\"".to_owned(), token: [1; 32], keeps_refusals: 2 },
            SessionRecord::Bound { attempt: 3, settled: 1, presented: [1; 32], token: [2; 32] },
            SessionRecord::Confirmed,
            SessionRecord::Decided { through: 1, refused: Vec::new() },
            SessionRecord::Decided { through: 4, refused: vec![refusal(3), refusal(4)] },
            SessionRecord::Cancelled { re: 1 },
            SessionRecord::Blamed { untaken: Some(7) },
            SessionRecord::Blamed { untaken: None },
            SessionRecord::Detached { at: 1 << 52 },
        ];
        let session = Session::fold(records.clone()).unwrap();
        records.push(SessionRecord::Whole(Box::new(session)));
        records.push(SessionRecord::Ended);
        for record in records {
            assert_eq!(decode_record(&encode_record(&record)), Some(record));
        }
        for unknown in ["", "null", "\"pondered\"", "{\"began\":{}}"] {
            assert_eq!(decode_record(unknown.as_bytes()), None, "{unknown}");
        }
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let error = AnswerError { code: "c".to_owned(), message: "a\nb".to_owned() };
        let payload = |text| Payload::parse(text).unwrap();
        for message in [
            SessionMessage { event: "e\n".to_owned(), payload: payload("[1,\n2]"), re: None, end: false, error: None },
            SessionMessage {
                event: String::new(),
                payload: Payload::null(),
                re: Some(9),
                end: true,
                error: Some(error),
            },
        ] {
            assert_eq!(decode_message(&encode_message(&message, Moment(5))), Some((message, Moment(5))));
        }
        for unknown in ["", "{}", "{\"event\":\"e\"}", "{\"event\":\"e\",\"at\":1}\n", "{\"event\":\"e\",\"at\":1}\n{"]
        {
            assert_eq!(decode_message(unknown.as_bytes()), None, "{unknown}");
        }
    }
}
