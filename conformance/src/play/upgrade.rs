//! Opening connections to a server.

use super::frames::{merge, text_of};
use super::{Broken, Peer, Play};
use crate::case::{Another, Connect};
use crate::dial::{Dialled, Request, Selected, dial};
use crate::log::Origin;
use crate::pattern;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use readywire_protocol::{HELLO_PREFIX, SUBPROTOCOL};
use serde_json::{Value, json};
use tokio::time::timeout;

impl Play {
    /// Gets one more token, in place of any that was printed before.
    pub(super) async fn another_token(&mut self, another: &Another) -> Result<(), Broken> {
        let Peer::Server { credentials, .. } = &self.peer else { return Err(not_a_server("token")) };
        let token = credentials.token(&another.subject).await.map_err(Broken::Impossible)?;
        self.kept.insert(another.name.clone(), Value::from(token));
        Ok(())
    }

    pub(super) async fn connect(&mut self, connect: &Connect) -> Result<(), Broken> {
        let name = connect.name.as_deref().unwrap_or("main");
        self.current = self.fill(name)?;
        self.kept.remove("accepted");
        self.closing.remove(&self.current);
        let hello = self.hello(connect).await?;
        let place = connect.hello.as_deref().unwrap_or("frame");
        let entry = format!("{HELLO_PREFIX}{}", URL_SAFE_NO_PAD.encode(&hello));
        self.kept.insert("hello".to_owned(), Value::from(entry.as_str()));
        self.kept.insert("hello_text".to_owned(), Value::from(hello.as_str()));
        let mut protocols = match &connect.protocols {
            None => vec![SUBPROTOCOL.to_owned()],
            Some(written) => written.iter().map(|entry| self.fill(entry)).collect::<Result<_, _>>()?,
        };
        if place == "upgrade" {
            protocols.push(entry);
        }
        let Peer::Server { url, .. } = &self.peer else { return Err(not_a_server("connect")) };
        let url = url.clone();
        let origin = url.replacen("ws", "http", 1);
        let authority = origin.split('/').nth(2).unwrap_or_default().to_owned();
        let scheme = origin.split(':').next().unwrap_or_default();
        self.kept.insert("origin".to_owned(), Value::from(format!("{scheme}://{authority}")));
        self.kept.insert("authority".to_owned(), Value::from(authority));
        let mut headers = Vec::new();
        for (name, value) in &connect.headers {
            headers.push((name.clone(), self.fill(value)?));
        }
        let request = Request { url, path: connect.path.clone(), protocols, headers };
        let dialled = timeout(self.patience, dial(&request)).await;
        let path = connect.path.as_deref().map(|path| format!(" {path}")).unwrap_or_default();
        if place == "upgrade" {
            self.note(Origin::Suite, &format!("(upgrade{path}, with this hello)"));
            self.note(Origin::Suite, &hello);
        } else {
            self.note(Origin::Suite, &format!("(upgrade{path})"));
        }
        match dialled {
            Err(_) => return Err(Broken::failed("an answer to the upgrade", "none in time")),
            Ok(Err(error)) => return Err(Broken::failed("an answer to the upgrade", error)),
            Ok(Ok(Dialled::Refused(status))) => {
                self.note(Origin::Peer, &format!("(HTTP {status})"));
                return match &connect.refused {
                    Some(allowed) if allowed.contains(&status) => Ok(()),
                    Some(allowed) => Err(Broken::failed(format!("HTTP {allowed:?}"), format!("HTTP {status}"))),
                    None => Err(Broken::failed("HTTP 101", format!("HTTP {status}"))),
                };
            }
            Ok(Ok(Dialled::Open(link, selected))) => {
                let protocol = selected.protocol.as_deref().unwrap_or("none");
                self.note(Origin::Peer, &format!("(HTTP 101, subprotocol {protocol})"));
                self.links.insert(self.current.clone(), *link);
                self.reached.remove(&self.current);
                check(connect, &request.protocols, &selected)?;
            }
        }
        match place {
            "frame" => self.write(&hello).await,
            "upgrade" | "none" => Ok(()),
            other => Err(Broken::Impossible(format!("`{other}` is no place for a hello"))),
        }
    }

    /// The hello of a connection.
    async fn hello(&mut self, connect: &Connect) -> Result<String, Broken> {
        let Peer::Server { credentials, .. } = &self.peer else { return Err(not_a_server("connect")) };
        let subject = connect.subject.as_deref().unwrap_or("alice");
        let token = match &connect.token {
            Some(token) => token.clone(),
            None => credentials.token(subject).await.map_err(Broken::Impossible)?,
        };
        let mut hello = json!({
            "type": "hello",
            "client": { "name": "readywire-conformance", "version": env!("CARGO_PKG_VERSION") },
            "auth": { "scheme": "bearer", "token": token },
            "capabilities": ["resume", "answers", "refresh"],
            "window": { "messages": 256, "bytes": 1_048_576 },
        });
        if token.is_empty() {
            merge(&mut hello, json!({ "auth": null }));
        }
        self.kept.insert("token".to_owned(), Value::from(token));
        let with = pattern::filled(&Value::Object(connect.with.clone()), &self.kept).map_err(Broken::Impossible)?;
        merge(&mut hello, with);
        if let Some(size) = connect.size {
            hello["padding"] = json!("");
            hello["padding"] = json!("x".repeat(size.saturating_sub(hello.to_string().len())));
        }
        Ok(text_of(&hello))
    }
}

/// What a server may select: no extension, no hello, and just what was wanted.
fn check(connect: &Connect, offered: &[String], selected: &Selected) -> Result<(), Broken> {
    if let Some(refused) = &connect.refused {
        return Err(Broken::failed(format!("HTTP {refused:?}"), "HTTP 101"));
    }
    if let Some(extensions) = &selected.extensions {
        return Err(Broken::failed("no extension", format!("the extensions {extensions}")));
    }
    let name = selected.protocol.as_deref().unwrap_or("none");
    let first = offered.first().is_some_and(|first| first == SUBPROTOCOL);
    let wanted = connect.selected.as_deref().or(first.then_some(SUBPROTOCOL));
    match wanted {
        Some(wanted) if wanted != name => Err(Broken::failed(format!("the subprotocol {wanted}"), name)),
        None if name.starts_with(HELLO_PREFIX) => Err(Broken::failed("another subprotocol than the hello", name)),
        _ => Ok(()),
    }
}

fn not_a_server(step: &str) -> Broken {
    Broken::Impossible(format!("`{step}` is for cases that judge servers"))
}
