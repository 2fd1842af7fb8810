//! One client at a server that does not speak the protocol, as the suite then is.

use crate::options;
use crate::orders::{Orders, Run, text};
use crate::reports::Reports;
use futures::{FutureExt, Stream, StreamExt};
use readywire::existing::{self, Client, Options, Writing};
use readywire::{End, Messages, States};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Makes a client as ordered, and serves it to its end, or to the end of its orders.
pub(crate) async fn run(order: Value, orders: Orders) {
    let how = &order["existing"];
    match how["ready"].as_str().map(str::to_owned) {
        Some(ready) => {
            let rule = move |message: &str| {
                serde_json::from_str::<Value>(message).is_ok_and(|message| message["type"] == ready.as_str())
            };
            serve(&order, Options::ready_when(rule), orders).await;
        }
        None => serve(&order, Options::unconfirmed(), orders).await,
    }
}

async fn serve<R: 'static>(order: &Value, options: Options<R>, orders: Orders) {
    let (how, given) = (&order["existing"], &order["options"]);
    let protocols = how["protocols"].as_array().into_iter().flatten().map(text);
    let mut options = protocols.fold(options, Options::protocol);
    if how["opening"] == true {
        let provider = orders.provider.clone();
        options = options.opening(move || {
            let token = provider.ask("connect");
            async move { Ok(vec![json!({ "type": "init", "token": token.await? }).to_string()]) }
        });
    }
    let stop: Vec<u64> = how["stop"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let options = options
        .stop_when(move |code, _| stop.contains(&u64::from(code)))
        .close_deadline(options::close_deadline(given))
        .tuned(|config| options::tune(config, given));
    let url = text(&order["url"]);
    orders.serve(existing::connect(&url, options), Running::new).await;
}

struct Running<R> {
    messages: Messages<String>,
    states: States,
    closed: Option<Pin<Box<dyn Future<Output = Option<End>> + Send>>>,
    sends: BTreeMap<u64, Writing>,
    client: Client<R>,
    reports: Reports,
}

impl<R: 'static> Running<R> {
    fn new(client: Client<R>, reports: Reports) -> Self {
        let closed = client.clone();
        Self {
            messages: client.messages(),
            states: client.states(),
            closed: Some(Box::pin(async move { closed.closed().await })),
            sends: BTreeMap::new(),
            client,
            reports,
        }
    }
}

impl<R: 'static> Run for Running<R> {
    fn obey(&mut self, order: &Value) {
        let handle = order["handle"].as_u64().unwrap_or_default();
        match order["op"].as_str().unwrap_or_default() {
            "send" => {
                let writing = self.client.send_with(text(&order["text"]), options::of_send(order));
                self.sends.insert(handle, writing);
            }
            "abandon" => {
                if let Some(sending) = self.sends.get(&handle) {
                    self.client.abandon(sending);
                }
            }
            "wake" => self.client.wake(),
            "sync" => self.reports.tell("synced", json!({})),
            "close" => {
                let client = self.client.clone();
                tokio::spawn(async move { client.close().await });
            }
            other => self.reports.trouble(&format!("there is no order `{other}`")),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) {
        // Looked at before all else, and told behind it: the client may go on while this looks around.
        let end = self.closed.as_mut().map(|closed| closed.poll_unpin(context));
        let reports = &self.reports;
        self.sends.retain(|handle, sending| match sending.poll_unpin(context) {
            Poll::Ready(result) => {
                reports.outcome(*handle, "written", &result);
                false
            }
            Poll::Pending => true,
        });
        while let Poll::Ready(Some(Ok(message))) = Pin::new(&mut self.messages).poll_next(context) {
            reports.tell("message", json!({ "text": message }));
        }
        while let Poll::Ready(Some(change)) = self.states.poll_next_unpin(context) {
            reports.state(&change);
        }
        if let Some(Poll::Ready(end)) = end {
            self.closed = None;
            if let Some(end) = end {
                reports.closed(&end);
            }
        }
    }
}
