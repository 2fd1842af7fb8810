//! The page's monotonic clock and its timers. They work in workers, too.

use gloo_timers::future::TimeoutFuture;
use readywire_protocol::time::{Duration, Instant};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn milliseconds() -> f64;
}

/// The time since the page began.
pub fn now() -> Instant {
    Instant::from_origin(Duration::from_micros((milliseconds() * 1000.0) as u64))
}

/// Ends not before `duration` is over; may end early if that is far away, as any timer of the driver may.
pub async fn sleep(duration: Duration) {
    // Rounded up: a timer that fires early against this clock would do nothing, and nobody would arm it again.
    let milliseconds = duration.as_micros().div_ceil(1000).min(i32::MAX as u128);
    TimeoutFuture::new(milliseconds as u32).await;
}

/// Something different each time, for jitter.
pub fn seed() -> u64 {
    (js_sys::Math::random() * u64::MAX as f64) as u64
}
