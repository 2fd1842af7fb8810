//! Each end alone: every state against every frame and every kind of hostile input. A pair of correct ends hides every
//! gap that only a wrong peer reaches.

#[allow(dead_code)] // Each layer of the tests uses its part.
#[path = "../drivers/far.rs"]
mod far;
#[allow(dead_code)]
#[path = "../drivers/frames.rs"]
mod frames;
#[allow(dead_code)]
#[path = "../drivers/near.rs"]
mod near;

mod binary;
mod bind;
mod client_ends;
mod client_handover;
mod client_hostile;
mod client_stages;
mod elsewhere;
mod history;
mod hostile;
mod inbox;
mod keys;
mod questions;
mod records;
mod release;
mod server_account;
mod server_hostile;
mod server_stages;
mod server_window;
mod streams;
mod take;
mod topics;
