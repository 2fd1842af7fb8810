//! One client at a server that does not speak the protocol, as the suite then is.

use crate::options;
use crate::run::{Reports, Token, asked, provide, send_options, text};
use futures::{FutureExt, Stream, StreamExt};
use readywire::existing::{self, Client, Options, Writing, Written};
use readywire::{ConnectError, SendError};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use tokio::sync::mpsc::UnboundedReceiver;

/// Makes a client as ordered, and serves it to its end, or to the end of its orders.
pub(crate) async fn run(order: Value, orders: UnboundedReceiver<Value>, reports: Reports) {
    let how = &order["existing"];
    match how["ready"].as_str().map(str::to_owned) {
        Some(ready) => {
            let rule = move |message: &str| {
                serde_json::from_str::<Value>(message).is_ok_and(|message| message["type"] == ready.as_str())
            };
            serve(&order, Options::ready_when(rule), orders, reports).await;
        }
        None => serve(&order, Options::unconfirmed(), orders, reports).await,
    }
}

async fn serve<R: 'static>(order: &Value, options: Options<R>, mut orders: UnboundedReceiver<Value>, reports: Reports) {
    let (how, given) = (&order["existing"], &order["options"]);
    let token = Arc::new(Mutex::new(Token::Give(text(&order["token"]))));
    let protocols = how["protocols"].as_array().into_iter().flatten().map(text);
    let mut options = protocols.fold(options, Options::protocol);
    if how["opening"] == true {
        let (token, reports) = (token.clone(), reports.clone());
        options = options.opening(move || {
            let token = asked(&token, &reports, "connect");
            async move { Ok(vec![json!({ "type": "init", "token": token.await? }).to_string()]) }
        });
    }
    let stop: Vec<u64> = how["stop"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let options = options
        .stop_when(move |code, _| stop.contains(&u64::from(code)))
        .close_deadline(options::close_deadline(given))
        .tuned(|config| options::tune(config, given));
    let url = text(&order["url"]);
    let mut connecting = pin!(existing::connect(&url, options));
    // An application cannot do anything with a client before it has it.
    let mut waiting = Vec::new();
    let client = loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return,
                Some(order) if order["op"] == "token" => provide(&token, &order),
                Some(order) if order["op"] == "sync" && waiting.is_empty() => reports.tell("synced", json!({})),
                Some(order) => waiting.push(order),
            },
            result = &mut connecting => match result {
                Ok(client) => break client,
                Err(ConnectError::Closed(end)) => return reports.closed(&end),
                Err(error) => return reports.trouble(&error.to_string()),
            },
        }
    };
    let (mut states, mut messages) = (client.states(), client.messages());
    let mut closed = Some(Box::pin({
        let client = client.clone();
        async move { client.closed().await }
    }));
    let mut sends: BTreeMap<u64, Writing> = BTreeMap::new();
    for order in waiting {
        obey(&client, &mut sends, &order, &reports);
    }
    let mut poll = |sends: &mut BTreeMap<u64, Writing>, context: &mut Context<'_>| {
        sends.retain(|handle, sending| match sending.poll_unpin(context) {
            Poll::Ready(result) => {
                outcome(&reports, *handle, &result);
                false
            }
            Poll::Pending => true,
        });
        while let Poll::Ready(Some(Ok(message))) = Pin::new(&mut messages).poll_next(context) {
            reports.tell("message", json!({ "text": message }));
        }
        while let Poll::Ready(Some(change)) = states.poll_next_unpin(context) {
            reports.state(&change);
        }
        if let Some(Poll::Ready(end)) = closed.as_mut().map(|closed| closed.poll_unpin(context)) {
            closed = None;
            if let Some(end) = end {
                reports.closed(&end);
            }
        }
        Poll::<()>::Pending
    };
    loop {
        tokio::select! {
            biased;
            order = orders.recv() => match order {
                None => return,
                Some(order) if order["op"] == "token" => provide(&token, &order),
                Some(order) => obey(&client, &mut sends, &order, &reports),
            },
            () = poll_fn(|context| poll(&mut sends, context)) => {}
        }
    }
}

fn obey<R: 'static>(client: &Client<R>, sends: &mut BTreeMap<u64, Writing>, order: &Value, reports: &Reports) {
    let handle = order["handle"].as_u64().unwrap_or_default();
    match order["op"].as_str().unwrap_or_default() {
        "send" => drop(sends.insert(handle, client.send_with(text(&order["text"]), send_options(order)))),
        "abandon" => {
            if let Some(sending) = sends.get(&handle) {
                client.abandon(sending);
            }
        }
        "wake" => client.wake(),
        "sync" => reports.tell("synced", json!({})),
        "close" => {
            let client = client.clone();
            tokio::spawn(async move { client.close().await });
        }
        other => reports.trouble(&format!("there is no order `{other}`")),
    }
}

fn outcome(reports: &Reports, handle: u64, result: &Result<Written, SendError>) {
    let (outcome, code) = match result {
        Ok(_) => ("written", None),
        Err(SendError::NotReady { .. }) => ("refused", Some("not_ready")),
        Err(SendError::Refused { code, .. }) => ("refused", Some(code.as_str())),
        Err(SendError::Expired) => ("expired", None),
        Err(SendError::Unknown { code }) => ("unknown", Some(code.as_str())),
        Err(error) => return reports.trouble(&error.to_string()),
    };
    reports.tell("outcome", json!({ "handle": handle, "outcome": outcome, "code": code }));
}
