//! Time on this platform: what time it is, and waking up later.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;

#[cfg(all(target_arch = "wasm32", feature = "api"))]
pub use browser::sleep;
#[cfg(target_arch = "wasm32")]
pub use browser::{now, rounded_up, seed};
#[cfg(not(target_arch = "wasm32"))]
pub use native::{now, seed, sleep};
