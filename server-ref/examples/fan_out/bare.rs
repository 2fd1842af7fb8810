//! The least that a fan-out can be: an axum WebSocket for each subscriber, one broadcast channel, shared bytes, batches.

use crate::{Failure, FanOut};
use axum::Router;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::routing::any;
use futures::SinkExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::broadcast;

#[derive(Clone)]
pub(crate) struct Bare {
    sender: broadcast::Sender<Utf8Bytes>,
    written: Arc<AtomicU64>,
}

impl FanOut for Bare {
    async fn publish(&self, text: String) -> Result<(), Failure> {
        // What a publication has around its payload, too: the same bytes for everybody.
        let frame = format!(r#"{{"type":"publication","topic":"bench","offset":1000,"event":"e","payload":{text}}}"#);
        self.sender.send(frame.into())?;
        Ok(())
    }

    fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

pub(crate) async fn serve() -> Result<(SocketAddr, Bare), Failure> {
    let bare = Bare { sender: broadcast::Sender::new(1024), written: Arc::default() };
    let listener = readywire_server::listener::Listener::bind("127.0.0.1:0".parse()?).await?;
    let address = listener.address()?;
    let state = bare.clone();
    let router = Router::new().route(
        "/ws",
        any(move |upgrade: WebSocketUpgrade| {
            let state = state.clone();
            async move { upgrade.read_buffer_size(4096).on_upgrade(move |socket| follow(socket, state)) }
        }),
    );
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok((address, bare))
}

async fn follow(mut socket: WebSocket, bare: Bare) {
    let mut publications = bare.sender.subscribe();
    let _ = socket.send(Message::text("ready")).await;
    while let Ok(text) = publications.recv().await {
        let mut next = Some(text);
        let mut count = 0;
        while let Some(text) = next {
            if socket.feed(Message::Text(text)).await.is_err() {
                return;
            }
            count += 1;
            next = publications.try_recv().ok();
        }
        bare.written.fetch_add(count, Ordering::Relaxed);
        if socket.flush().await.is_err() {
            return;
        }
    }
}
