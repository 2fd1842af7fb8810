//! Connecting to a server, byte by byte: a library that checks what the server did would hide it.

use crate::link::Link;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::MaybeTlsStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::http::Uri;

/// The largest head of an answer that is read.
const HEAD_BYTES: usize = 64 << 10;

/// What an upgrade asks for.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// The WebSocket address.
    pub url: String,
    /// The path, in place of that of the address.
    pub path: Option<String>,
    /// The subprotocols that are offered.
    pub protocols: Vec<String>,
    /// Headers over the usual ones; an empty one is left out.
    pub headers: Vec<(String, String)>,
}

/// What came of it.
#[derive(Debug)]
pub enum Dialled {
    /// A WebSocket.
    Open(Box<Link>, Selected),
    /// Another HTTP status than 101.
    Refused(u16),
}

/// What the server selected.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selected {
    /// The subprotocol.
    pub protocol: Option<String>,
    /// Extensions.
    pub extensions: Option<String>,
}

/// Connects.
///
/// # Errors
/// There is no server, or what it says is no answer to an upgrade.
pub async fn dial(request: &Request) -> Result<Dialled, String> {
    let uri: Uri = request.url.parse().map_err(|error| format!("{}: {error}", request.url))?;
    let host = uri.host().ok_or_else(|| format!("{} names no host", request.url))?;
    let secure = match uri.scheme_str() {
        Some("ws") => false,
        Some("wss") => true,
        _ => return Err(format!("{} is no address of a WebSocket", request.url)),
    };
    let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await.map_err(|error| format!("{host}:{port}: {error}"))?;
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let stream = if secure { encrypted(stream, name).await? } else { MaybeTlsStream::Plain(stream) };
    upgrade(stream, &uri, request).await
}

async fn encrypted(stream: TcpStream, name: &str) -> Result<MaybeTlsStream<TcpStream>, String> {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let server = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(server, stream).await;
    stream.map(MaybeTlsStream::Rustls).map_err(|error| format!("TLS: {error}"))
}

async fn upgrade(mut stream: MaybeTlsStream<TcpStream>, uri: &Uri, request: &Request) -> Result<Dialled, String> {
    let key = generate_key();
    stream.write_all(head(uri, request, &key).as_bytes()).await.map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&answer).map_err(|error| format!("the answer is no HTTP: {error}"))? {
            httparse::Status::Complete(length) => {
                let status = response.code.unwrap_or_default();
                if status != 101 {
                    return Ok(Dialled::Refused(status));
                }
                let selected = accepted(&response, &key)?;
                let rest = answer[length..].to_vec();
                return Ok(Dialled::Open(Box::new(Link::open(stream, rest).await), selected));
            }
            httparse::Status::Partial if answer.len() > HEAD_BYTES => return Err("a head without end".to_owned()),
            httparse::Status::Partial => {}
        }
        if stream.read_buf(&mut answer).await.map_err(|error| error.to_string())? == 0 {
            return Err("the connection ended in the answer to the upgrade".to_owned());
        }
    }
}

fn head(uri: &Uri, request: &Request, key: &str) -> String {
    let path = request.path.as_deref().unwrap_or_else(|| uri.path_and_query().map_or("/", |path| path.as_str()));
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut headers: Vec<(String, String)> = [
        ("Host", authority),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    if !request.protocols.is_empty() {
        headers.push(("Sec-WebSocket-Protocol".to_owned(), request.protocols.join(", ")));
    }
    for (name, value) in &request.headers {
        headers.retain(|(usual, _)| !usual.eq_ignore_ascii_case(name));
        headers.push((name.clone(), value.clone()));
    }
    let lines: String = headers
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    format!("GET {path} HTTP/1.1\r\n{lines}\r\n")
}

/// Checks what RFC 6455 wants of a 101, and reads what was selected.
fn accepted(response: &httparse::Response<'_, '_>, key: &str) -> Result<Selected, String> {
    let all = |name: &str| {
        let values = response.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
        let values: Vec<_> = values.map(|header| String::from_utf8_lossy(header.value).trim().to_owned()).collect();
        (!values.is_empty()).then(|| values.join(", "))
    };
    let wrong = |what: &str| Err(format!("the upgrade is wrong: {what}"));
    if !all("upgrade").is_some_and(|value| value.eq_ignore_ascii_case("websocket")) {
        return wrong("no `Upgrade: websocket`");
    }
    if !all("connection").is_some_and(|value| value.to_ascii_lowercase().contains("upgrade")) {
        return wrong("no `Connection: Upgrade`");
    }
    if all("sec-websocket-accept") != Some(derive_accept_key(key.as_bytes())) {
        return wrong("`Sec-WebSocket-Accept` does not fit");
    }
    Ok(Selected { protocol: all("sec-websocket-protocol"), extensions: all("sec-websocket-extensions") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&str, &str)], path: Option<&str>) -> String {
        let url = "ws://example.org:81/ws?a=1".to_owned();
        let uri = url.parse().unwrap();
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let protocols = vec!["a".to_owned(), "b".to_owned()];
        head(&uri, &Request { url, path: path.map(str::to_owned), protocols, headers }, "k")
    }

    #[test]
    fn headers_replace_and_leave_out_the_usual_ones() {
        let usual = request(&[], None);
        assert!(usual.starts_with("GET /ws?a=1 HTTP/1.1\r\nHost: example.org:81\r\n"), "{usual}");
        assert!(usual.contains("Sec-WebSocket-Protocol: a, b\r\n") && usual.ends_with("\r\n\r\n"), "{usual}");
        let other = request(&[("host", "evil.example"), ("upgrade", "")], Some("/else"));
        assert!(other.starts_with("GET /else HTTP/1.1\r\n") && other.contains("host: evil.example\r\n"), "{other}");
        assert!(!other.contains("example.org") && !other.contains("websocket\r\n"), "{other}");
    }
}
