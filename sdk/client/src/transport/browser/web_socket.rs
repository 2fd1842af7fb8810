//! The page's own names. Bound here and not through `web-sys`, whose `js-sys` leaves code in the npm package's module
//! that nothing calls.

use wasm_bindgen::prelude::{JsValue, wasm_bindgen};

/// `WebSocket.OPEN`; what is less is not open yet.
pub(super) const OPEN: u16 = 1;

#[wasm_bindgen]
extern "C" {
    #[derive(Clone, Debug)]
    pub(super) type WebSocket;

    #[wasm_bindgen(constructor, catch)]
    pub(super) fn new(url: &str, protocols: &Names) -> Result<WebSocket, JsValue>;
    #[wasm_bindgen(method, getter)]
    pub(super) fn protocol(this: &WebSocket) -> String;
    #[wasm_bindgen(method, getter, js_name = readyState)]
    pub(super) fn ready_state(this: &WebSocket) -> u16;
    #[wasm_bindgen(method, setter, js_name = binaryType)]
    pub(super) fn set_binary_type(this: &WebSocket, kind: &str);
    #[wasm_bindgen(method, setter)]
    pub(super) fn set_onopen(this: &WebSocket, handler: &JsValue);
    #[wasm_bindgen(method, setter)]
    pub(super) fn set_onmessage(this: &WebSocket, handler: &JsValue);
    #[wasm_bindgen(method, setter)]
    pub(super) fn set_onclose(this: &WebSocket, handler: &JsValue);
    #[wasm_bindgen(method, catch)]
    pub(super) fn send(this: &WebSocket, text: &str) -> Result<(), JsValue>;
    // The page gets to see the bytes where they are, and copies them before it comes back.
    #[wasm_bindgen(method, catch, js_name = send)]
    pub(super) fn send_binary(this: &WebSocket, message: &[u8]) -> Result<(), JsValue>;
    #[wasm_bindgen(method, catch)]
    pub(super) fn close(this: &WebSocket, code: Option<u16>, reason: Option<&str>) -> Result<(), JsValue>;

    /// An array of strings.
    #[wasm_bindgen(js_name = Array)]
    pub(super) type Names;
    #[wasm_bindgen(constructor, js_class = "Array")]
    pub(super) fn new() -> Names;
    #[wasm_bindgen(method)]
    pub(super) fn push(this: &Names, name: &str);

    pub(super) type MessageEvent;
    #[wasm_bindgen(method, getter)]
    pub(super) fn data(this: &MessageEvent) -> JsValue;

    /// Bytes of the page, seen through the buffer of a message.
    #[wasm_bindgen(js_name = Uint8Array)]
    pub(super) type ByteArray;
    #[wasm_bindgen(constructor, js_class = "Uint8Array")]
    pub(super) fn new(buffer: &JsValue) -> ByteArray;
    /// Copied once, on the way out of the page.
    #[wasm_bindgen(method)]
    pub(super) fn subarray(this: &ByteArray, begin: u32) -> Vec<u8>;

    pub(super) type CloseEvent;
    #[wasm_bindgen(method, getter)]
    pub(super) fn code(this: &CloseEvent) -> u16;
    #[wasm_bindgen(method, getter)]
    pub(super) fn reason(this: &CloseEvent) -> String;

    /// What the page throws: an error of some kind.
    pub(super) type Thrown;
    #[wasm_bindgen(method, getter)]
    pub(super) fn message(this: &Thrown) -> Option<String>;
}
