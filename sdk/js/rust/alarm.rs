//! One timer of the page.

use readywire::clock;
use readywire_protocol::time::Instant;
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

#[wasm_bindgen]
extern "C" {
    // In Node a timer is an object.
    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(ring: &JsValue, milliseconds: u32) -> JsValue;
    #[wasm_bindgen(js_name = clearTimeout)]
    fn clear_timeout(timer: &JsValue);
}

/// The timer that runs, and when it rings.
type Armed = Rc<Cell<Option<(Instant, JsValue)>>>;

pub(crate) struct Alarm {
    armed: Armed,
    ring: Closure<dyn FnMut()>,
}

impl Alarm {
    pub(crate) fn new(ring: impl Fn() + 'static) -> Self {
        let armed = Armed::default();
        let ringing = armed.clone();
        let ring = Closure::new(move || {
            // Forgotten first: what is due now may arm it anew.
            ringing.take();
            ring();
        });
        Self { armed, ring }
    }

    /// Rings at `deadline`, or earlier: a timer that wakes too early is kept, since to look in vain costs less than to arm
    /// anew at each message.
    pub(crate) fn set(&self, deadline: Option<Instant>) {
        let mut armed = self.armed.take();
        if let Some((rings, timer)) = &armed {
            if deadline.is_some_and(|deadline| *rings <= deadline) {
                return self.armed.set(armed);
            }
            clear_timeout(timer);
        }
        armed = deadline.map(|deadline| {
            let delay = clock::rounded_up(deadline.saturating_since(clock::now()));
            (deadline, set_timeout(self.ring.as_ref(), delay))
        });
        self.armed.set(armed);
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.set(None);
    }
}
