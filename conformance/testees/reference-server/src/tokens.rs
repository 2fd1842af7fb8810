//! Tokens of the contract's subjects, through the same claims as every other.

use readywire_server::claims::Authority;
use readywire_server::command_line::Tokens;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const BRIEF: Duration = Duration::from_secs(4);

/// A token of `subject`, or a ticket of alice; that of `expired` has been over for an hour, that of `brief` soon is, that of
/// `invalid` has a stranger's signature.
pub(crate) fn print(authority: &Authority, tokens: &Tokens, subject: &str) -> Result<String, String> {
    Ok(match subject {
        "expired" => {
            let mut claims = authority.claims("alice", HOUR);
            for time in [&mut claims.nbf, &mut claims.iat, &mut claims.exp] {
                *time -= 2 * HOUR.as_secs();
            }
            authority.sign(&claims)
        }
        "invalid" => {
            let stranger = b"a secret that only a stranger has, 32 bytes at least";
            let stranger = Authority::new(stranger, &tokens.jwt_issuer, &tokens.jwt_audience);
            stranger.map_err(|error| error.to_string())?.mint("alice", HOUR)
        }
        "brief" => authority.mint("alice", BRIEF),
        "ticket" => authority.mint_ticket("alice", HOUR),
        subject => authority.mint(subject, HOUR),
    })
}
