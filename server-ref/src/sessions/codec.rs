//! How records and messages are written down: JSON, for a person can read it, and a payload as it is.

use super::Moment;
use readywire_protocol::frame::{AnswerError, Refusal};
use readywire_protocol::json::Payload;
use readywire_protocol::server::{SecretHash, Session, SessionMessage, SessionRecord};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;

/// A record, as it is written.
#[derive(Serialize, Deserialize)]
#[serde(remote = "SessionRecord", rename_all = "snake_case")]
enum Record {
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
        #[serde(default, skip_serializing_if = "Vec::is_empty", with = "in_a_row")]
        refused: Vec<Refusal>,
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
    Released {
        fence: u64,
    },
    Ended,
    Whole(#[serde(with = "boxed")] Box<Session>),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Session")]
struct WholeSession {
    subject: String,
    tokens: Vec<SecretHash>,
    attempt: u64,
    fence: u64,
    /// Not in what an earlier version wrote, which tells nobody when it has released.
    #[serde(default)]
    decided_under: u64,
    #[serde(default)]
    released: u64,
    detached_at: Option<u64>,
    received: u64,
    #[serde(with = "by_id")]
    refused: BTreeMap<u64, Refusal>,
    keeps_refusals: u64,
    blamed: Option<(u64, u32)>,
    over: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Refusal")]
struct Refused {
    id: u64,
    code: String,
    message: String,
    retry: bool,
    retry_after_ms: Option<u64>,
    service: Option<String>,
}

/// A refusal among others.
#[derive(Deserialize)]
struct Read(#[serde(with = "Refused")] Refusal);

/// The same, to be written.
#[derive(Serialize)]
struct Written<'a>(#[serde(with = "Refused")] &'a Refusal);

mod in_a_row {
    use super::{Deserialize, Deserializer, Read, Refusal, Serializer, Written};

    pub(super) fn serialize<S: Serializer>(refused: &[Refusal], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(refused.iter().map(Written))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Refusal>, D::Error> {
        let refused = Vec::<Read>::deserialize(deserializer)?;
        Ok(refused.into_iter().map(|Read(refusal)| refusal).collect())
    }
}

mod by_id {
    use super::{BTreeMap, Deserializer, Refusal, Serializer, Written, in_a_row};

    pub(super) fn serialize<S: Serializer>(refused: &BTreeMap<u64, Refusal>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(refused.values().map(Written))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<u64, Refusal>, D::Error> {
        let refused = in_a_row::deserialize(deserializer)?;
        Ok(refused.into_iter().map(|refusal| (refusal.id, refusal)).collect())
    }
}

mod boxed {
    use super::{Deserializer, Serializer, Session, WholeSession};

    pub(super) fn serialize<S: Serializer>(session: &Session, serializer: S) -> Result<S::Ok, S::Error> {
        WholeSession::serialize(session, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Box<Session>, D::Error> {
        WholeSession::deserialize(deserializer).map(Box::new)
    }
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
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    asks: bool,
    /// Whether the payload is bytes, and not JSON text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bytes: bool,
}

/// Writes a record.
pub(super) fn encode_record(record: &SessionRecord) -> Vec<u8> {
    let mut data = Vec::new();
    // As below: it always is JSON.
    let _ = Record::serialize(record, &mut serde_json::Serializer::new(&mut data));
    data
}

/// Reads a record; `None` for what this version does not know.
pub(super) fn decode_record(data: &[u8]) -> Option<SessionRecord> {
    let mut reading = serde_json::Deserializer::from_slice(data);
    let record = Record::deserialize(&mut reading).ok()?;
    reading.end().ok()?;
    Some(record)
}

/// Writes a message of an inbox: its header on one line, and its payload.
pub(super) fn encode_message(message: &SessionMessage, at: Moment) -> Vec<u8> {
    let SessionMessage { event, payload, re, end, error, asks } = message;
    let error = error.as_ref().map(|error| (error.code.clone(), error.message.clone()));
    let (content, bytes) = match (payload.text(), payload.bytes()) {
        (Some(text), _) => (text.as_bytes(), false),
        (None, bytes) => (bytes.unwrap_or_default(), true),
    };
    let mut data = json(&Header { event: event.clone(), at: at.0, re: *re, end: *end, error, asks: *asks, bytes });
    data.reserve_exact(1 + content.len());
    data.push(b'\n');
    data.extend_from_slice(content);
    data
}

/// Reads a message of an inbox, and when it was appended.
pub(super) fn decode_message(data: &[u8]) -> Option<(SessionMessage, Moment)> {
    let line = data.iter().position(|byte| *byte == b'\n')?;
    let (header, content) = (&data[..line], &data[line + 1..]);
    let Header { event, at, re, end, error, asks, bytes } = serde_json::from_slice(header).ok()?;
    let payload = match bytes {
        true => Payload::from(content.to_vec()),
        false => Payload::parse(std::str::from_utf8(content).ok()?).ok()?,
    };
    let error = error.map(|(code, message)| AnswerError { code, message });
    Some((SessionMessage { event, payload, re, end, error, asks }, Moment(at)))
}

/// Plain structures of text and numbers always are JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
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
            SessionRecord::Bound { attempt: 4, settled: 1, presented: [2; 32], token: [3; 32] },
            SessionRecord::Decided { through: 5, refused: Vec::new() },
            SessionRecord::Released { fence: 2 },
        ];
        let session = Session::fold(records.clone()).unwrap();
        records.push(SessionRecord::Whole(Box::new(session)));
        records.push(SessionRecord::Ended);
        for record in records {
            assert_eq!(decode_record(&encode_record(&record)), Some(record));
        }
        for unknown in ["", "null", "\"pondered\"", "{\"began\":{}}", "\"ended\" \"ended\""] {
            assert_eq!(decode_record(unknown.as_bytes()), None, "{unknown}");
        }
    }

    /// Servers of two versions stand on one log while they are replaced.
    #[test]
    fn what_is_written_stays_as_it_is() {
        let decided = SessionRecord::Decided { through: 4, refused: vec![refusal(3)] };
        assert_eq!(encode_record(&SessionRecord::Ended), b"\"ended\"");
        assert_eq!(
            encode_record(&SessionRecord::Decided { through: 1, refused: Vec::new() }),
            br#"{"decided":{"through":1}}"#
        );
        let written = r#"{"decided":{"through":4,"refused":[{"id":3,"code":"no\n","message":"\"why\"","retry":true,"retry_after_ms":5,"service":"search"}]}}"#;
        assert_eq!(String::from_utf8(encode_record(&decided)).unwrap(), written);
        let records = [SessionRecord::Began { subject: "a".to_owned(), token: [0; 32], keeps_refusals: 2 }, decided];
        let whole = SessionRecord::Whole(Box::new(Session::fold(records).unwrap()));
        let written = String::from_utf8(encode_record(&whole)).unwrap();
        assert!(written.starts_with(r#"{"whole":{"subject":"a","tokens":[[0,0,"#), "{written}");
        assert!(written.ends_with(r#""received":4,"refused":[{"id":3,"code":"no\n","message":"\"why\"","retry":true,"retry_after_ms":5,"service":"search"}],"keeps_refusals":2,"blamed":null,"over":false}}"#), "{written}");
    }

    #[test]
    fn what_an_earlier_version_wrote_is_read() {
        let session =
            Session::fold([SessionRecord::Began { subject: "a".to_owned(), token: [1; 32], keeps_refusals: 2 }]);
        let whole = SessionRecord::Whole(Box::new(session.unwrap()));
        let text = String::from_utf8(encode_record(&whole)).unwrap();
        let earlier = text.replace(r#""decided_under":0,"released":0,"#, "");
        assert_ne!(earlier, text);
        assert_eq!(decode_record(earlier.as_bytes()), Some(whole));
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        let error = AnswerError { code: "c".to_owned(), message: "a\nb".to_owned() };
        let payload = |text| Payload::parse(text).unwrap();
        for message in [
            SessionMessage {
                event: "e\n".to_owned(),
                payload: payload("[1,\n2]"),
                re: None,
                end: false,
                error: None,
                asks: false,
            },
            SessionMessage {
                event: String::new(),
                payload: Payload::null(),
                re: Some(9),
                end: true,
                error: Some(error),
                asks: true,
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
