//! Opening connections to a server.

use super::frames::merge;
use super::{Broken, Peer, Play};
use crate::case::Connect;
use crate::link::{Dialled, Link};
use crate::log::Origin;
use crate::pattern;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use readywire_protocol::{HELLO_PREFIX, SUBPROTOCOL};
use serde_json::{Value, json};
use tokio::time::timeout;

impl Play {
    pub(super) async fn connect(&mut self, connect: &Connect) -> Result<(), Broken> {
        self.current = connect.name.clone().unwrap_or_else(|| "main".to_owned());
        self.kept.remove("accepted");
        let hello = self.hello(connect).await?;
        let Peer::Server { url, .. } = &self.peer else {
            return Err(Broken::Impossible("`connect` is for cases that judge servers".to_owned()));
        };
        let place = connect.hello.as_deref().unwrap_or("frame");
        let mut protocols = connect.protocols.clone().unwrap_or_else(|| vec![SUBPROTOCOL.to_owned()]);
        if place == "upgrade" {
            protocols.push(format!("{HELLO_PREFIX}{}", URL_SAFE_NO_PAD.encode(hello.to_string())));
        }
        let dialled = timeout(self.patience, Link::dial(url, connect, &protocols)).await;
        let where_to = connect.path.clone().unwrap_or_default();
        self.note(
            Origin::Suite,
            &format!("(upgrade {where_to}{})", if place == "upgrade" { " with hello" } else { "" }),
        );
        if place == "upgrade" {
            self.note(Origin::Suite, &hello.to_string());
        }
        let dialled = match dialled {
            Ok(Ok(dialled)) => dialled,
            Ok(Err(error)) => return Err(Broken::failed("an answer to the upgrade", error)),
            Err(_) => return Err(Broken::failed("an answer to the upgrade", "none in time")),
        };
        let (link, selected) = match (dialled, &connect.refused) {
            (Dialled::Refused(status), Some(allowed)) if allowed.contains(&status) => {
                self.note(Origin::Peer, &format!("(HTTP {status})"));
                return Ok(());
            }
            (Dialled::Refused(status), _) => {
                self.note(Origin::Peer, &format!("(HTTP {status})"));
                return Err(Broken::failed("HTTP 101", format!("HTTP {status}")));
            }
            (Dialled::Open(_, _), Some(allowed)) => {
                return Err(Broken::failed(format!("HTTP {allowed:?}"), "HTTP 101"));
            }
            (Dialled::Open(link, selected), None) => (link, selected),
        };
        let name = selected.as_deref().unwrap_or("none");
        self.note(Origin::Peer, &format!("(HTTP 101, subprotocol {name})"));
        if protocols.first().is_some_and(|first| first == SUBPROTOCOL) && name != SUBPROTOCOL {
            return Err(Broken::failed(format!("the subprotocol {SUBPROTOCOL}"), name.to_owned()));
        }
        self.links.insert(self.current.clone(), link);
        match place {
            "frame" => self.write(&hello.to_string()).await,
            "upgrade" | "none" => Ok(()),
            other => Err(Broken::Impossible(format!("`{other}` is no place for a hello"))),
        }
    }

    /// The hello of a connection.
    async fn hello(&mut self, connect: &Connect) -> Result<Value, Broken> {
        let Peer::Server { credentials, .. } = &self.peer else {
            return Err(Broken::Impossible("`connect` is for cases that judge servers".to_owned()));
        };
        let subject = connect.subject.as_deref().unwrap_or("alice");
        let token = match &connect.token {
            Some(token) => token.clone(),
            None => credentials.token(subject).await.map_err(Broken::Impossible)?,
        };
        let mut hello = json!({
            "type": "hello",
            "client": { "name": "readywire-conformance", "version": env!("CARGO_PKG_VERSION") },
            "auth": { "scheme": "bearer", "token": token },
            "capabilities": ["resume", "answers"],
            "window": { "messages": 256, "bytes": 1_048_576 },
        });
        if token.is_empty() {
            merge(&mut hello, json!({ "auth": null }));
        }
        let with = pattern::filled(&Value::Object(connect.with.clone()), &self.kept).map_err(Broken::Impossible)?;
        merge(&mut hello, with);
        self.kept.insert("token".to_owned(), Value::from(token));
        Ok(hello)
    }
}
