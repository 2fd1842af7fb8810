//! Who a token speaks for. One type mints and validates, so that no test can hold other claims than a real client.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use readywire_protocol::close;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The fewest bytes that a secret may have: as many as the hash behind HS256 gives.
pub const SECRET_BYTES: usize = 32;

/// What a token says. All of it is required, but for `jti`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who it is: a stable, opaque id.
    pub sub: String,
    /// Who minted it.
    pub iss: String,
    /// Whom it is meant for.
    pub aud: String,
    /// Not before this second since 1970.
    pub nbf: u64,
    /// Minted in this second since 1970.
    pub iat: u64,
    /// Not from this second since 1970 on.
    pub exp: u64,
    /// Makes a token unlike any other, so that two minted within one second can be told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

/// The claims that are texts, and those that are seconds since 1970.
const TEXTS: [&str; 3] = ["sub", "iss", "aud"];
const TIMES: [&str; 3] = ["nbf", "iat", "exp"];

impl Claims {
    /// How long the token still lasts.
    pub fn expires_in(&self) -> Duration {
        Duration::from_secs(self.exp).saturating_sub(since_1970())
    }
}

/// Mints and validates tokens with one secret, issuer and audience.
#[derive(Clone)]
pub struct Authority {
    encoding: EncodingKey,
    decoding: DecodingKey,
    issuer: String,
    audience: String,
}

impl fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Authority(issuer {}, audience {})", self.issuer, self.audience)
    }
}

impl Authority {
    /// An authority over tokens signed with `secret`.
    ///
    /// # Errors
    /// The secret is shorter than [`SECRET_BYTES`].
    pub fn new(secret: &[u8], issuer: &str, audience: &str) -> Result<Self, SecretTooShort> {
        if secret.len() < SECRET_BYTES {
            return Err(SecretTooShort { bytes: secret.len() });
        }
        Ok(Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
        })
    }

    /// What a token for `subject` says that lasts from now for `ttl`.
    pub fn claims(&self, subject: &str, ttl: Duration) -> Claims {
        let now = since_1970().as_secs();
        Claims {
            sub: subject.to_owned(),
            iss: self.issuer.clone(),
            aud: self.audience.clone(),
            nbf: now,
            iat: now,
            // Seconds are all that a claim can say: a part of one counts as a whole.
            exp: now.saturating_add(ttl.as_secs()).saturating_add(u64::from(ttl.subsec_nanos() > 0)),
            jti: Some(unique()),
        }
    }

    /// Signs claims.
    pub fn sign(&self, claims: &Claims) -> String {
        // HS256 over plain strings and numbers cannot fail; an empty token would be refused like any other.
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.encoding).unwrap_or_default()
    }

    /// Mints a token.
    pub fn mint(&self, subject: &str, ttl: Duration) -> String {
        self.sign(&self.claims(subject, ttl))
    }

    /// Mints a ticket, which is good for one attempt to connect. It is meant for another audience than tokens are, so
    /// that neither passes for the other.
    pub fn mint_ticket(&self, subject: &str, ttl: Duration) -> String {
        self.sign(&Claims { aud: self.ticket_audience(), ..self.claims(subject, ttl) })
    }

    /// Checks signature, algorithm, times, issuer, audience and subject.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn validate(&self, token: &str) -> Result<Claims, TokenError> {
        self.check(token, &self.audience)
    }

    /// Checks the same of a ticket. Whether it is spent is not for the ticket to say.
    ///
    /// # Errors
    /// The first check that failed.
    pub fn validate_ticket(&self, ticket: &str) -> Result<Claims, TokenError> {
        self.check(ticket, &self.ticket_audience()).map_err(|error| match error {
            TokenError::Audience => TokenError::NoTicket,
            other => other,
        })
    }

    fn ticket_audience(&self) -> String {
        format!("{}#ticket", self.audience)
    }

    fn check(&self, token: &str, audience: &str) -> Result<Claims, TokenError> {
        if token.is_empty() {
            return Err(TokenError::Missing);
        }
        // Only this algorithm, whatever the header claims: neither `none` nor a public key taken for a secret.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.leeway = 0;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Any object first: the signature decides before the claims do, and each claim that is wrong has its name.
        let object = jsonwebtoken::decode::<Map<String, Value>>(token, &self.decoding, &validation)?.claims;
        let text = |name: &&str| object.get(*name).and_then(Value::as_str).is_none_or(str::is_empty);
        let time = |name: &&str| object.get(*name).and_then(Value::as_u64).is_none();
        if let Some(wrong) = TEXTS.iter().find(|name| text(name)).or_else(|| TIMES.iter().find(|name| time(name))) {
            return Err(TokenError::Claim((*wrong).to_owned()));
        }
        let claims: Claims =
            serde_json::from_value(Value::Object(object)).map_err(|_| TokenError::Claim("jti".to_owned()))?;
        // The library lets the second of `exp` itself pass; RFC 7519 does not.
        if claims.expires_in().is_zero() { Err(TokenError::Expired) } else { Ok(claims) }
    }
}

/// A secret that is easier to guess than it may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretTooShort {
    /// How many bytes it has.
    pub bytes: usize,
}

impl fmt::Display for SecretTooShort {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "the secret has {} bytes, it needs at least {SECRET_BYTES}", self.bytes)
    }
}

impl std::error::Error for SecretTooShort {}

/// Why a token does not count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// There is none.
    Missing,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It was not signed with the secret.
    Signature,
    /// It names another algorithm than HS256.
    Algorithm,
    /// It is no token.
    Malformed,
    /// Another issuer minted it.
    Issuer,
    /// It is meant for another audience.
    Audience,
    /// This claim is missing or of the wrong kind.
    Claim(String),
    /// The hello names a scheme that this server does not take.
    Scheme,
    /// The hello calls something a ticket that is none.
    NoTicket,
    /// The ticket was used for another attempt.
    Spent,
}

impl TokenError {
    /// One for each name that [`TokenError::check`] gives.
    pub(crate) fn each() -> impl Iterator<Item = Self> {
        let claims = TEXTS.iter().chain(&TIMES).chain(&["jti", ""]).map(|name| Self::Claim((*name).to_owned()));
        let others = [
            Self::Missing,
            Self::Expired,
            Self::NotYetValid,
            Self::Signature,
            Self::Algorithm,
            Self::Malformed,
            Self::Issuer,
            Self::Audience,
            Self::Scheme,
            Self::NoTicket,
            Self::Spent,
        ];
        claims.chain(others)
    }

    /// The check that failed, for a metric: a claim by its own name, and as few names as there are checks.
    pub fn check(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Expired => "expired",
            Self::NotYetValid => "nbf",
            Self::Signature => "signature",
            Self::Algorithm => "algorithm",
            Self::Malformed => "malformed",
            Self::Issuer => "iss",
            Self::Audience => "aud",
            Self::Claim(name) => {
                let known = TEXTS.iter().chain(&TIMES).chain(&["jti"]).find(|known| *known == name);
                known.copied().unwrap_or("claims")
            }
            Self::Scheme => "scheme",
            Self::NoTicket => "no_ticket",
            Self::Spent => "spent",
        }
    }

    /// The close code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Missing => close::TOKEN_MISSING,
            Self::Expired => TOKEN_EXPIRED,
            _ => TOKEN_INVALID,
        }
    }
}

/// The close code of a token whose time is over.
pub const TOKEN_EXPIRED: u16 = 4102;
/// The close code of a token that never was good here.
pub const TOKEN_INVALID: u16 = 4104;

impl fmt::Display for TokenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => write!(formatter, "no token: put one into hello.auth"),
            Self::Expired => write!(formatter, "the token has expired: ask for a new one"),
            Self::NotYetValid => write!(formatter, "the token is not valid yet (nbf): compare the clocks"),
            Self::Signature => write!(formatter, "the token's signature does not match the server's secret"),
            Self::Algorithm => write!(formatter, "the token is not signed with HS256"),
            Self::Malformed => write!(formatter, "the token is not a JSON Web Token"),
            Self::Issuer => write!(formatter, "the token comes from another issuer (iss)"),
            Self::Audience => write!(formatter, "the token is meant for another audience (aud)"),
            Self::Claim(name) => write!(formatter, "the token's claim `{name}` is missing or wrong"),
            Self::Scheme => write!(formatter, "hello.auth.scheme must be `bearer` or `ticket`"),
            Self::NoTicket => write!(formatter, "the token is no ticket"),
            Self::Spent => write!(formatter, "the ticket was used before: ask for a new one"),
        }
    }
}

impl std::error::Error for TokenError {}

impl From<jsonwebtoken::errors::Error> for TokenError {
    fn from(error: jsonwebtoken::errors::Error) -> Self {
        match error.into_kind() {
            ErrorKind::ExpiredSignature => Self::Expired,
            ErrorKind::ImmatureSignature => Self::NotYetValid,
            ErrorKind::InvalidSignature => Self::Signature,
            ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => Self::Algorithm,
            ErrorKind::InvalidIssuer => Self::Issuer,
            ErrorKind::InvalidAudience => Self::Audience,
            ErrorKind::InvalidSubject => Self::Claim("sub".to_owned()),
            ErrorKind::MissingRequiredClaim(name) => Self::Claim(name),
            // Only the header's reader knows variants: the algorithms.
            ErrorKind::Json(error) if error.to_string().starts_with("unknown variant") => Self::Algorithm,
            _ => Self::Malformed,
        }
    }
}

fn unique() -> String {
    let mut bytes = [0; 8];
    // Without randomness two tokens of one second may be alike, which harms nobody.
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("{:016x}", u64::from_be_bytes(bytes))
}

fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
    const MINUTE: Duration = Duration::from_secs(60);

    fn authority() -> Authority {
        Authority::new(SECRET, "readywire", "readywire").unwrap()
    }

    fn altered(alter: impl FnOnce(&mut Claims)) -> Result<Claims, TokenError> {
        let mut claims = authority().claims("alice", MINUTE);
        alter(&mut claims);
        authority().validate(&authority().sign(&claims))
    }

    fn without(name: &str) -> Result<Claims, TokenError> {
        replaced(name, Value::Null)
    }

    fn replaced(name: &str, value: Value) -> Result<Claims, TokenError> {
        let mut claims = serde_json::to_value(authority().claims("alice", MINUTE)).unwrap();
        claims[name] = value;
        claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let token = jsonwebtoken::encode(&Header::default(), &claims, &EncodingKey::from_secret(SECRET)).unwrap();
        authority().validate(&token)
    }

    #[test]
    fn what_is_minted_is_valid() {
        let claims = authority().validate(&authority().mint("alice", MINUTE)).unwrap();
        assert_eq!(claims.sub, "alice");
        assert!(claims.expires_in() <= MINUTE && claims.expires_in() > Duration::from_secs(50));
    }

    #[test]
    fn a_token_lasts_up_to_its_end_and_not_through_it() {
        assert_eq!(altered(|claims| claims.exp = claims.iat), Err(TokenError::Expired));
        assert!(authority().validate(&authority().mint("alice", Duration::from_millis(1500))).is_ok());
        let long = authority().validate(&authority().mint("alice", Duration::from_secs(43_200))).unwrap();
        assert!(long.expires_in() > Duration::from_secs(43_190));
    }

    #[test]
    fn no_two_tokens_are_alike() {
        assert_ne!(authority().mint("alice", MINUTE), authority().mint("alice", MINUTE));
    }

    #[test]
    fn a_claim_that_is_missing_or_of_the_wrong_kind_is_named() {
        for name in TEXTS.into_iter().chain(TIMES) {
            assert_eq!(without(name), Err(TokenError::Claim(name.to_owned())));
        }
        assert_eq!(replaced("aud", json!(["readywire"])), Err(TokenError::Claim("aud".into())));
        assert_eq!(replaced("iat", json!("now")), Err(TokenError::Claim("iat".into())));
        assert_eq!(replaced("jti", json!(7)), Err(TokenError::Claim("jti".into())));
        assert!(without("jti").is_ok());
    }

    #[test]
    fn each_failure_has_its_own_reason_and_code() {
        let other = Authority::new(b"another secret, which is as long..", "readywire", "readywire").unwrap();
        let found = [
            (authority().validate(""), TokenError::Missing, 4101),
            (altered(|claims| claims.exp = claims.iat - 1), TokenError::Expired, 4102),
            (altered(|claims| claims.nbf += 3600), TokenError::NotYetValid, 4104),
            (altered(|claims| claims.iss = "else".into()), TokenError::Issuer, 4104),
            (altered(|claims| claims.aud = "else".into()), TokenError::Audience, 4104),
            (altered(|claims| claims.sub.clear()), TokenError::Claim("sub".into()), 4104),
            (without("sub"), TokenError::Claim("sub".into()), 4104),
            (without("exp"), TokenError::Claim("exp".into()), 4104),
            (authority().validate(&other.mint("alice", MINUTE)), TokenError::Signature, 4104),
            (authority().validate("not a token"), TokenError::Malformed, 4104),
        ];
        let mut reasons = std::collections::BTreeSet::new();
        for (outcome, expected, code) in found {
            let error = outcome.unwrap_err();
            assert_eq!(error, expected);
            assert_eq!(error.code(), code);
            let reason = error.to_string();
            assert!(close::cut_reason(&reason) == reason, "{reason} fits a close frame");
            reasons.insert(reason);
        }
        assert_eq!(reasons.len(), 9, "`sub` fails twice for one reason");
    }

    #[test]
    fn another_algorithm_and_none_are_refused() {
        let claims = authority().claims("alice", MINUTE);
        let key = EncodingKey::from_secret(SECRET);
        for algorithm in [Algorithm::HS384, Algorithm::HS512] {
            let token = jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap();
            assert_eq!(authority().validate(&token), Err(TokenError::Algorithm));
        }
        // {"alg":"none"} and {"alg":"RS256"} over the claims of a good token.
        let good = authority().mint("alice", MINUTE);
        let (_, rest) = good.split_once('.').unwrap();
        let (body, signature) = rest.split_once('.').unwrap();
        for header in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJSUzI1NiJ9"] {
            for signature in ["", signature] {
                let error = authority().validate(&format!("{header}.{body}.{signature}")).unwrap_err();
                assert_eq!(error, TokenError::Algorithm, "{header}");
                assert_eq!(error.code(), 4104);
            }
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(Authority::new(b"short", "a", "b").unwrap_err(), SecretTooShort { bytes: 5 });
    }
}
