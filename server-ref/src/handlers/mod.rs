//! The events that the reference server knows by itself.

mod agent;
mod ask;
mod chat;
mod echo;
mod notify;
mod pace;
mod relay;
mod rooms;
mod search;
mod upload;

pub use agent::Agent;
pub use ask::Ask;
pub use chat::Chat;
pub use echo::Echo;
pub use notify::Notify;
pub use relay::Relay;
pub use rooms::{Rooms, Say};
pub use search::{Passage, Search, tokenise};
pub use upload::Upload;

use crate::application::Application;

/// All of them.
pub fn application() -> Application {
    Application::new()
        .with("echo", Echo)
        .with("chat.message", Chat)
        .with("chat.say", Say)
        .with("agent.run", Agent::default())
        .with("notify", Notify)
        .with("relay", Relay)
        .with("ask", Ask)
        .with("upload", Upload)
        .with_topics(Rooms)
}

#[cfg(test)]
mod recorder;
