//! What becomes of a send with a topic.

use crate::application::{Answer, Failure, Handler, Rejection, Request};
use crate::topics::{Topics, forbidden};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::json::Payload;
use std::sync::Arc;

/// Appends one publication of a client (clause `topic.publish`).
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) event: String,
    pub(crate) topics: Arc<Topics>,
}

impl Handler for Publish {
    fn admit(&self, subject: &str, payload: &Payload) -> Result<(), Rejection> {
        let policy = self.topics.policy().ok_or_else(forbidden)?;
        policy.may_publish(subject, &self.topic, &self.event, payload)
    }

    fn handle<'a>(&'a self, request: Request, _: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            request.room.publish(&self.topic, &self.event, &request.payload).await?;
            Ok(())
        }
        .boxed()
    }
}
