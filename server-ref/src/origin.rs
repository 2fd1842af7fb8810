//! Who may connect from where: the `Origin` and `Host` of a request.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};
use std::net::IpAddr;

/// The origins that are let in besides the server's own.
#[derive(Clone, Debug, Default)]
pub struct Origins {
    allowed: Vec<String>,
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
            Self::Origin => "this Origin is not allowed; the server lists others by --allow-origin",
            Self::Host => "this Host is not the server's; it is known by its address, localhost and --allow-origin",
        }
    }
}

impl Origins {
    /// Origins such as `https://example.org`.
    pub fn new(allowed: impl IntoIterator<Item = String>) -> Self {
        Self { allowed: allowed.into_iter().map(|origin| origin.trim_end_matches('/').to_lowercase()).collect() }
    }

    /// Checks both headers. A request without an origin comes from no page.
    ///
    /// # Errors
    /// Which header does not fit.
    pub fn check(&self, headers: &HeaderMap) -> Result<(), Forbidden> {
        let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_lowercase();
        let name = host_name(&host);
        let known = name == "localhost"
            || name.parse::<IpAddr>().is_ok()
            || self.allowed.iter().any(|origin| authority(origin).is_some_and(|allowed| host_name(allowed) == name));
        if !known {
            return Err(Forbidden::Host);
        }
        let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default().to_lowercase();
        let own = authority(&origin) == Some(host.as_str());
        if own || self.allowed.contains(&origin) { Ok(()) } else { Err(Forbidden::Origin) }
    }
}

fn authority(origin: &str) -> Option<&str> {
    origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> Result<(), Forbidden> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        Origins::new(["https://app.example.org/".to_owned()]).check(&headers)
    }

    #[test]
    fn own_and_listed_origins_pass_and_no_others() {
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
}
