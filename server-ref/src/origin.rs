//! Who may connect from where: the `Origin` and `Host` of a request.
//!
//! A browser tells with each request which page sent it, and no page can change that. A page can, however, give its own
//! name a new address while it is open (DNS rebinding): then it talks to this server as if to its own, and only the
//! `Host` of its requests shows the foreign name. So both are checked.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use std::net::{IpAddr, SocketAddr};

/// The origins that are let in besides the server's own.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Vec<String>,
    loopback: bool,
}

/// Why a request is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// A page of another origin.
    Origin,
    /// A host name that is not the server's: somebody else's name may lead here.
    Host,
}

impl Forbidden {
    /// For a person.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Origin => "this Origin is not allowed; the server lists others by --allow-origin\n",
            Self::Host => "this Host is not the server's; it is known by its address, localhost and --allow-origin\n",
        }
    }
}

impl Origins {
    /// Origins such as `https://example.org`.
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        let allowed = allowed.into_iter().map(|origin| origin.trim().trim_end_matches('/').to_lowercase()).collect();
        Self { allowed, loopback: false }
    }

    /// For a server at `address`: those listed. If none is, and only this machine can reach the server, then any page
    /// that this machine serves to itself: somebody develops one, on a port of its own.
    pub fn of_server(address: SocketAddr, allowed: impl IntoIterator<Item = String>) -> Self {
        let listed = Self::new(allowed);
        Self { loopback: listed.allowed.is_empty() && address.ip().is_loopback(), ..listed }
    }

    /// Checks both headers. A request without an origin comes from no page.
    ///
    /// # Errors
    /// Which header does not fit.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Forbidden> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_lowercase();
        let name = host_name(&host);
        // Only names can be rebound. An address always leads to where it says, and browsers keep localhost at home.
        let known = name == "localhost"
            || name.parse::<IpAddr>().is_ok()
            || self.allowed.iter().any(|origin| authority(origin).is_some_and(|allowed| host_name(allowed) == name));
        if !known {
            return Err(Forbidden::Host);
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default().to_lowercase();
        let from = authority(&origin);
        let own = from == Some(host.as_str());
        let at_home = self.loopback && is_loopback(name) && from.is_some_and(|from| is_loopback(host_name(from)));
        if own || at_home || self.allowed.contains(&origin) { Ok(()) } else { Err(Forbidden::Origin) }
    }
}

fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// The host without its port; nothing if what stands behind it is none, as in `localhost:80.evil.example`.
fn host_name(host: &str) -> &str {
    let (name, rest) = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').unwrap_or_default(),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port = rest.strip_prefix(':').unwrap_or(rest);
    if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { "" }
}

fn is_loopback(name: &str) -> bool {
    name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(origins: &Origins, host: &str, origin: Option<&str>) -> Result<(), Forbidden> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        origins.check(&headers)
    }

    fn at(address: &str, allowed: &[&str]) -> Origins {
        Origins::of_server(address.parse().unwrap(), allowed.iter().map(|origin| (*origin).to_owned()))
    }

    #[test]
    fn own_and_listed_origins_pass_and_no_others() {
        let origins = at("127.0.0.1:8080", &["https://app.example.org/"]);
        let check = |host, origin| verdict(&origins, host, origin);
        assert_eq!(check("127.0.0.1:8080", None), Ok(()));
        assert_eq!(check("127.0.0.1:8080", Some("http://127.0.0.1:8080")), Ok(()));
        assert_eq!(check("[::1]:8080", Some("http://[::1]:8080")), Ok(()));
        assert_eq!(check("localhost:8080", Some("https://app.example.org")), Ok(()));
        assert_eq!(check("app.example.org", Some("https://app.example.org")), Ok(()));
        assert_eq!(check("127.0.0.1:8080", Some("http://127.0.0.1:9090")), Err(Forbidden::Origin));
        assert_eq!(check("127.0.0.1:8080", Some("null")), Err(Forbidden::Origin));
        assert_eq!(check("127.0.0.1:8080", Some("https://app.example.org.evil.example")), Err(Forbidden::Origin));
        assert_eq!(check("evil.example", Some("http://evil.example")), Err(Forbidden::Host));
        assert_eq!(check("", None), Err(Forbidden::Host));
    }

    #[test]
    fn a_server_of_this_machine_alone_lets_its_pages_in() {
        let origins = at("127.0.0.1:8080", &[]);
        let check = |host, origin| verdict(&origins, host, Some(origin));
        for page in ["http://127.0.0.1:41000", "http://localhost:5173", "http://[::1]:3000", "https://127.9.9.9"] {
            assert_eq!(check("127.0.0.1:8080", page), Ok(()), "{page}");
            assert_eq!(check("localhost:8080", page), Ok(()), "{page}");
        }
        for page in
            ["http://127.0.0.1:8080.evil.example", "http://localhost:.evil.example", "http://[::1].evil.example"]
        {
            assert_eq!(check("127.0.0.1:8080", page), Err(Forbidden::Origin), "{page}");
        }
        assert_eq!(check("localhost:80.evil.example", "http://localhost:80"), Err(Forbidden::Host));
        for page in ["https://evil.example", "http://localhost.evil.example", "http://192.168.0.7:3000", "null", ""] {
            assert_eq!(check("127.0.0.1:8080", page), Err(Forbidden::Origin), "{page}");
        }
        // A rebound name, whatever its page claims to be.
        assert_eq!(check("evil.example:8080", "http://evil.example:8080"), Err(Forbidden::Host));
        assert_eq!(check("evil.example:8080", "http://127.0.0.1:41000"), Err(Forbidden::Host));
        // Somebody else's machine has a loopback, too.
        assert_eq!(check("192.168.0.7:8080", "http://127.0.0.1:41000"), Err(Forbidden::Origin));
    }

    #[test]
    fn one_that_others_can_reach_does_not() {
        let page = Some("http://127.0.0.1:41000");
        assert_eq!(verdict(&at("0.0.0.0:8080", &[]), "127.0.0.1:8080", page), Err(Forbidden::Origin));
        assert_eq!(verdict(&Origins::default(), "127.0.0.1:8080", page), Err(Forbidden::Origin));
    }
}
