//! Serves the page, and carries its lines over a WebSocket.

use axum::Router;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use futures::{SinkExt, StreamExt};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

const PAGE: &str = include_str!("page.html");
const CHANNEL: &str = include_str!("channel.js");
const WORKER: &str = include_str!("worker.js");

struct Served {
    folders: BTreeMap<String, PathBuf>,
    /// Taken by the first that connects: there is one testee.
    lines: Mutex<Option<(UnboundedReceiver<String>, UnboundedSender<String>)>>,
}

/// Serves from loopback until the suite ends.
pub(super) async fn open(
    folders: Vec<(String, PathBuf)>,
    orders: UnboundedReceiver<String>,
    lines: UnboundedSender<String>,
) -> Result<SocketAddr, String> {
    let mut served = Served { folders: BTreeMap::new(), lines: Mutex::new(Some((orders, lines))) };
    for (name, folder) in folders {
        let folder = folder.canonicalize().map_err(|error| format!("{}: {error}", folder.display()))?;
        served.folders.insert(name, folder);
    }
    let script = |text: &'static str| get(move || async move { ([(header::CONTENT_TYPE, "text/javascript")], text) });
    let router = Router::new()
        .route("/", get(|| async { ([(header::CONTENT_TYPE, "text/html")], PAGE) }))
        .route("/suite/channel.js", script(CHANNEL))
        .route("/suite/worker.js", script(WORKER))
        .route("/suite/control", any(control))
        .route("/{folder}/{*file}", get(file))
        .with_state(Arc::new(served));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn file(State(served): State<Arc<Served>>, Path((folder, file)): Path<(String, String)>) -> Response {
    let Some(folder) = served.folders.get(&folder) else { return StatusCode::NOT_FOUND.into_response() };
    // Whatever the path says, only what lies in the folder is served.
    let Some(path) = folder.join(&file).canonicalize().ok().filter(|path| path.starts_with(folder)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = match path.extension().and_then(|extension| extension.to_str()) {
        Some("js" | "mjs") => "text/javascript",
        Some("wasm") => "application/wasm",
        Some("json" | "map") => "application/json",
        Some("html") => "text/html",
        _ => "application/octet-stream",
    };
    match tokio::fs::read(path).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, kind)], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn control(State(served): State<Arc<Served>>, upgrade: WebSocketUpgrade) -> Response {
    match served.lines.lock().await.take() {
        Some((orders, lines)) => upgrade.on_upgrade(move |socket| carry(socket, orders, lines)),
        None => StatusCode::CONFLICT.into_response(),
    }
}

/// Orders to the page, and its reports back, until either side has gone.
async fn carry(socket: WebSocket, mut orders: UnboundedReceiver<String>, lines: UnboundedSender<String>) {
    let (mut sink, mut stream) = socket.split();
    let out = async {
        while let Some(order) = orders.recv().await {
            if sink.send(Message::text(order)).await.is_err() {
                return;
            }
        }
    };
    let back = async {
        while let Some(Ok(message)) = stream.next().await {
            if let Message::Text(text) = message
                && lines.send(text.to_string()).is_err()
            {
                return;
            }
        }
    };
    tokio::select! {
        () = out => {}
        () = back => {}
    }
}
