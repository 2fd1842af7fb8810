//! What one run is told to do, whatever its server speaks.

use crate::reports::Reports;
use readywire::{ConnectError, TokenFailure};
use serde_json::{Value, json};
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::sync::mpsc::UnboundedReceiver;

/// The orders of one run, and the token that its provider has.
pub(crate) struct Orders {
    receiver: UnboundedReceiver<Value>,
    pub(crate) provider: Provider,
    pub(crate) reports: Reports,
}

/// Gives what was ordered last when it is asked for a token.
#[derive(Clone)]
pub(crate) struct Provider {
    token: Arc<Mutex<Token>>,
    reports: Reports,
}

/// What the provider does when it is asked for a token.
#[derive(Clone)]
enum Token {
    Give(String),
    Fail(TokenFailure),
    Keep,
}

/// A client that does what it is told.
pub(crate) trait Run {
    /// Follows an order.
    fn obey(&mut self, order: &Value);
    /// Reports what there is, in the order in which an application has to be told: the end after everything else.
    fn poll(&mut self, context: &mut Context<'_>);
}

impl Orders {
    /// What follows the order to connect.
    pub(crate) fn behind(first: &Value, receiver: UnboundedReceiver<Value>, reports: Reports) -> Self {
        let token = Arc::new(Mutex::new(Token::Give(text(&first["token"]))));
        Self { receiver, provider: Provider { token, reports: reports.clone() }, reports }
    }

    /// Connects, and serves what comes of it to the end of the orders.
    pub(crate) async fn serve<C, R: Run>(
        mut self,
        connecting: impl Future<Output = Result<C, ConnectError>>,
        run: impl FnOnce(C, Reports) -> R,
    ) {
        let Some((client, waiting)) = self.connected(connecting).await else { return };
        let mut run = run(client, self.reports.clone());
        for order in waiting {
            run.obey(&order);
        }
        loop {
            tokio::select! {
                biased;
                order = self.receiver.recv() => match order {
                    None => return,
                    Some(order) if order["op"] == "token" => self.provider.take(&order),
                    Some(order) => run.obey(&order),
                },
                () = poll_fn(|context| { run.poll(context); Poll::Pending }) => {}
            }
        }
    }

    /// A client, and what it was told before it was there: an application cannot do anything with it sooner.
    async fn connected<C>(
        &mut self,
        connecting: impl Future<Output = Result<C, ConnectError>>,
    ) -> Option<(C, Vec<Value>)> {
        let mut connecting = pin!(connecting);
        let mut waiting = Vec::new();
        loop {
            tokio::select! {
                order = self.receiver.recv() => match order? {
                    order if order["op"] == "token" => self.provider.take(&order),
                    order if order["op"] == "sync" && waiting.is_empty() => self.reports.tell("synced", json!({})),
                    order => waiting.push(order),
                },
                result = &mut connecting => {
                    match result {
                        Ok(client) => return Some((client, waiting)),
                        Err(ConnectError::Closed(end)) => self.reports.closed(&end),
                        Err(error) => self.reports.trouble(&error.to_string()),
                    }
                    return None;
                }
            }
        }
    }
}

impl Provider {
    /// What it gives when it is asked.
    pub(crate) fn ask(&self, reason: &str) -> impl Future<Output = Result<String, TokenFailure>> + use<> {
        self.reports.tell("token", json!({ "reason": reason }));
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move {
            match token {
                Token::Give(token) => Ok(token),
                Token::Fail(failure) => Err(failure),
                Token::Keep => pending().await,
            }
        }
    }

    fn take(&self, order: &Value) {
        let next = match (&order["token"], &order["fail"]) {
            (Value::String(token), _) => Token::Give(token.clone()),
            (_, Value::String(why)) => {
                Token::Fail(TokenFailure { message: why.clone(), fatal: order["final"] == true })
            }
            _ => Token::Keep,
        };
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }
}

/// Text of an order, if it has any.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
