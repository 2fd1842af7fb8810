//! What a server under test is asked for besides the protocol: timers, limits and subjects.

use crate::pattern::Kept;
use serde_json::{Value, json};

/// The environment variable in which a server that the suite starts finds what the suite would like, as JSON.
pub const VARIABLE: &str = "READYWIRE_CONFORMANCE";

/// The word that says that a server takes everything that the suite would like.
/// Stands for every setting, as the suite would like it.
pub const WANTED: &str = "wanted";

/// Each setting: its name, the value that the suite would like, what it is.
pub const SETTINGS: &[(&str, u64, &str)] = &[
    ("hello_timeout_ms", 3000, "from the open socket to the hello; then 4208"),
    ("ready_timeout_ms", 3000, "from ACCEPTED to `ready`; then 4201"),
    ("heartbeat_interval_ms", 1000, "between two pings"),
    ("heartbeat_timeout_ms", 2500, "silence after a ping; then 4203"),
    ("session_ttl_ms", 3000, "how long a detached session is kept"),
    ("sessions_per_subject", 64, "sessions of one subject"),
    ("streams", 8, "streams of one session that are open; then `too_many_streams`"),
    ("subscriptions", 32, "topics that one connection follows; then `too_many`"),
    ("preauth_connections", 40, "connections of one address that have not said who they are; then HTTP 503"),
];

/// The subjects that a server under test may have besides `alice`.
pub const SUBJECTS: &[&str] = &["bob", "slow", "failing", "stuck", "expired", "brief", "invalid", "ticket"];

/// Reads `name=value`, or `wanted` for all of them.
///
/// # Errors
/// What is expected, for a person.
pub fn parse(given: &[String]) -> Result<Kept, String> {
    let mut settings = Kept::new();
    for setting in given {
        if setting == WANTED {
            settings.extend(SETTINGS.iter().map(|(name, value, _)| ((*name).to_owned(), json!(value))));
            continue;
        }
        let (name, value) = setting.split_once('=').ok_or_else(|| format!("`{setting}` is not NAME=VALUE"))?;
        let value: u64 = value.parse().map_err(|_| format!("`{setting}`: the value is a whole number"))?;
        if !SETTINGS.iter().any(|(known, _, _)| *known == name) {
            let known: Vec<_> = SETTINGS.iter().map(|(known, _, _)| *known).collect();
            return Err(format!("there is no setting `{name}`; there are: {}", known.join(", ")));
        }
        settings.insert(name.to_owned(), value.into());
    }
    Ok(settings)
}

/// What a server that the suite starts is told: what the suite would like, except for what was given.
pub fn variable(given: &Kept) -> String {
    let wanted = SETTINGS.iter().map(|(name, value, _)| {
        let value = given.get(*name).cloned().unwrap_or_else(|| json!(value));
        ((*name).to_owned(), value)
    });
    Value::Object(wanted.collect()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn what_is_given_outranks_what_is_wanted() {
        let given = parse(&words(&["wanted", "hello_timeout_ms=300"])).unwrap();
        assert_eq!((&given["hello_timeout_ms"], &given["session_ttl_ms"]), (&json!(300), &json!(3000)));
        let told: Value = serde_json::from_str(&variable(&parse(&words(&["hello_timeout_ms=300"])).unwrap())).unwrap();
        assert_eq!((&told["hello_timeout_ms"], &told["session_ttl_ms"]), (&json!(300), &json!(3000)));
    }

    #[test]
    fn mistakes_are_explained() {
        assert!(parse(&words(&["hello_timeout=1"])).unwrap_err().contains("hello_timeout_ms"));
        assert!(parse(&words(&["hello_timeout_ms=1s"])).unwrap_err().contains("whole number"));
        assert!(parse(&words(&["nonsense"])).unwrap_err().contains("NAME=VALUE"));
    }
}
