//! Each timer by itself: armed when, stopped when, and what its expiry means.

#[allow(dead_code)] // Each layer of the tests uses its part.
#[path = "../drivers/far.rs"]
mod far;
#[allow(dead_code)]
#[path = "../drivers/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../drivers/near.rs"]
mod near;

mod backoff;
mod client_before_ready;
mod client_ready;
mod closing;
mod handover;
mod instant;
mod queue_age;
mod refresh;
mod retries;
mod server;
