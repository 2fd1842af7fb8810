//! The page's monotonic clock and its timers. They work in workers, too.

use readywire_protocol::time::{Duration, Instant, milliseconds};
use wasm_bindgen::prelude::wasm_bindgen;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn elapsed() -> f64;

    #[wasm_bindgen(js_namespace = Math)]
    fn random() -> f64;
}

/// The time since the page began.
pub fn now() -> Instant {
    Instant::from_origin(Duration::from_micros((elapsed() * 1000.0) as u64))
}

/// Ends not before `duration` is over; may end early if that is far away, as any timer of the driver may.
#[cfg(feature = "api")]
pub async fn sleep(duration: Duration) {
    gloo_timers::future::TimeoutFuture::new(rounded_up(duration)).await;
}

/// What to ask a timer of the page for: one that fires early against this clock would do nothing, and nobody would arm
/// it again.
pub fn rounded_up(duration: Duration) -> u32 {
    let part = u64::from(!duration.subsec_nanos().is_multiple_of(1_000_000));
    milliseconds(duration).saturating_add(part).min(i32::MAX as u64) as u32
}

/// Something different each time, for jitter.
pub fn seed() -> u64 {
    (random() * u64::MAX as f64) as u64
}
