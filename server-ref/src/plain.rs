//! What servers without a readiness protocol do, for comparison: the WebSocket opens at once, the message handler is
//! attached only after the services are ready, and what came before it is lost.

use crate::hub::Hub;
use crate::service::Progress;
use axum::extract::ws::{Message, WebSocket};
use std::sync::Arc;

/// Serves one plain connection.
pub(crate) async fn serve(hub: Arc<Hub>, mut socket: WebSocket) {
    let nobody = format!("plain {}", hub.draw_secret());
    let services = hub.parts.services.connect(&nobody);
    let mut progress = services.progress();
    let mut draining = hub.draining();
    let mut attached = false;
    loop {
        if !attached && *progress.borrow_and_update() == Progress::Ready {
            attached = true;
            hub.parts.services.used(&nobody, &services);
        }
        tokio::select! {
            biased;
            () = async { drop(draining.wait_for(|draining| *draining).await) } => return,
            changed = progress.changed(), if !attached => if changed.is_err() { return },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if attached => {
                    let echo = format!("{{\"echo\":{}}}", serde_json::Value::from(text.as_str()));
                    if socket.send(Message::Text(echo.into())).await.is_err() {
                        return;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return,
            },
        }
    }
}
