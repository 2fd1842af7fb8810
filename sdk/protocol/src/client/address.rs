//! Addresses that a server names: which of them a client follows.

/// Whether a client that was given `own` may go to `alternate`: to the same host or to a listed one, and never to a weaker
/// scheme (clause `drain.alternate`).
pub(super) fn may_follow(own: &str, alternate: &str, listed: &[String]) -> bool {
    let (Some(own), Some(alternate)) = (parse(own), parse(alternate)) else { return false };
    let known = alternate.host.eq_ignore_ascii_case(own.host)
        || listed.iter().any(|listed| listed.eq_ignore_ascii_case(alternate.host));
    known && (alternate.secure || !own.secure)
}

struct Address<'a> {
    secure: bool,
    host: &'a str,
}

/// Nothing but what every reader of addresses understands in the same way: those of a page take a backslash for a slash, and
/// drop line breaks.
fn parse(text: &str) -> Option<Address<'_>> {
    let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'\\' | b'#');
    if !text.bytes().all(plain) {
        return None;
    }
    let (secure, rest) = match text.strip_prefix("wss://") {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix("ws://")?),
    };
    // Byte by byte, since it is ASCII by now: `str::find` and its like would be another kilobyte for each page to load.
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
    let authority = rest.get(..end)?;
    // In brackets an address of IPv6 has colons of its own.
    let end = authority.bytes().rposition(|byte| byte == b']').map_or(0, |bracket| bracket + 1);
    let colon = authority.bytes().skip(end).position(|byte| byte == b':').map_or(authority.len(), |at| end + at);
    let (host, port) = (authority.get(..colon)?, authority.get(colon..)?);
    let digits = port.bytes().skip(1).all(|byte| byte.is_ascii_digit());
    (digits && !host.is_empty() && !host.bytes().any(|byte| byte == b'@')).then_some(Address { secure, host })
}

#[cfg(test)]
mod tests {
    use super::may_follow;

    #[test]
    fn only_the_same_host_or_a_listed_one_is_followed() {
        let follow = |own: &str, alternate: &str| may_follow(own, alternate, &["eu.example.org".to_owned()]);
        for (own, alternate) in [
            ("ws://a.example.org/ws", "ws://a.example.org/ws?node=2"),
            ("ws://a.example.org/ws", "ws://A.Example.org:9000"),
            ("ws://a.example.org:80/ws", "wss://a.example.org/other"),
            ("wss://a.example.org/ws", "wss://eu.example.org/ws"),
            ("ws://[::1]:80/ws", "ws://[::1]:81/ws"),
            ("ws://[fe80::]:80/ws", "ws://[fe80::]:81/ws"),
        ] {
            assert!(follow(own, alternate), "{own} to {alternate}");
        }
        for (own, alternate) in [
            ("ws://a.example.org/ws", "ws://b.example.org/ws"),
            ("ws://a.example.org/ws", "ws://a.example.org.evil.example/ws"),
            ("wss://a.example.org/ws", "ws://a.example.org/ws"),
            ("wss://a.example.org/ws", "ws://eu.example.org/ws"),
            ("ws://a.example.org/ws", "ws://a.example.org@evil.example/ws"),
            ("ws://a.example.org/ws", "ws://evil.example\\@a.example.org/ws"),
            ("ws://a.example.org/ws", "ws://a.example.org:80@evil.example/ws"),
            ("ws://a.example.org/ws", "ws://evil.example#a.example.org"),
            ("ws://a.example.org/ws", "ws://a.exam\nple.org/ws"),
            ("ws://a.example.org/ws", "ws://a.example.org/\\evil.example"),
            ("ws://a.example.org/ws", "ws://a.example.org/ws#node"),
            ("ws://a.example.org/ws", "ws://a.example.org/w\ns"),
            ("ws://a.example.org/ws", "http://a.example.org/ws"),
            ("ws://a.example.org/ws", "/elsewhere"),
            ("ws://a.example.org/ws", "ws:///ws"),
            ("ws://a.example.org/ws", ""),
            ("/ws", "ws://a.example.org/ws"),
            ("ws://[::1]/ws", "ws://[::2]/ws"),
        ] {
            assert!(!follow(own, alternate), "{own} to {alternate}");
        }
    }
}
