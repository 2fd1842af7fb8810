//! What is left of a client that is gone, as over the reload of a page (clause `session.stored`).

use crate::json::{Object, ObjectWriter};

/// What the next client needs to take a session up where this one left it. It holds the session's token: whoever stores
/// it keeps it as secret as that, and lets one client at a time have it.
///
/// ```
/// use readywire_protocol::client::Carried;
///
/// let text = r#"{"session":"s-1","token":"r-1","subject":"u-7","attempt":3,"ids":256,"settled":17,"inbox":42}"#;
/// let carried = Carried::parse(text).unwrap();
/// assert_eq!((carried.attempt, carried.encode().as_str()), (3, text));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Carried {
    /// The session.
    pub session: String,
    /// The token that proves it.
    pub token: String,
    /// Whom it belongs to.
    pub subject: String,
    /// The highest attempt to connect for it.
    pub attempt: u64,
    /// No higher id may have been written.
    pub ids: u64,
    /// Every outcome up to here was known.
    pub settled: u64,
    /// The last offset of the inbox that the server may have dropped.
    pub inbox: u64,
    /// The offsets of the questions up to there that have no answer yet, as far as known (clause `question.carried`).
    #[cfg(feature = "questions")]
    pub questions: Vec<u64>,
}

impl Carried {
    /// One JSON text.
    pub fn encode(&self) -> String {
        let mut text = ObjectWriter::new();
        text.string("session", &self.session);
        text.string("token", &self.token);
        text.string("subject", &self.subject);
        text.integer("attempt", self.attempt);
        text.integer("ids", self.ids);
        text.integer("settled", self.settled);
        text.integer("inbox", self.inbox);
        #[cfg(feature = "questions")]
        text.array("questions", self.questions.iter().map(u64::to_string));
        text.finish()
    }

    /// Reads what [`Carried::encode`] wrote; `None` if it is anything else, since what was stored may be damaged or of
    /// another version.
    pub fn parse(text: &str) -> Option<Self> {
        let object = Object::parse(text).ok()?;
        let string = |name| object.string(name).ok()?.map(|text| text.into_owned());
        let integer = |name| object.integer(name).ok()?;
        let carried = Self {
            session: string("session")?,
            token: string("token")?,
            subject: string("subject")?,
            attempt: integer("attempt")?,
            ids: integer("ids")?,
            settled: integer("settled")?,
            inbox: integer("inbox")?,
            #[cfg(feature = "questions")]
            questions: object.integers("questions").ok()?,
        };
        (carried.settled <= carried.ids).then_some(carried)
    }
}
