//! The page's WebSocket.

#[cfg(feature = "api")]
mod task;
mod web_socket;

#[cfg(feature = "api")]
pub use task::{EventReceiver, Task, TaskFn, TaskFuture, can_spawn, events, spawn};

use super::SocketEvent;
use readywire_protocol::close::CloseFrame;
use std::future::{Ready, ready};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::JsValue;
use web_socket::{ByteArray, CloseEvent, MessageEvent, Names, OPEN, Thrown, WebSocket};

/// Where sockets put their events, each with the number of the socket. A page cannot stop reading; the window of the
/// inbox bounds what waits.
pub type EventSender = Rc<dyn Fn(u64, SocketEvent)>;
/// Ends when the last words are out.
pub type Farewell = Ready<()>;

/// A WebSocket, from the first attempt to open it to its end. Dropping it breaks the connection off.
#[derive(Debug)]
pub struct Socket {
    /// `None` if the page refused to make one.
    socket: Option<WebSocket>,
    _onopen: Closure<dyn FnMut()>,
    _onmessage: Closure<dyn FnMut(MessageEvent)>,
    _onclose: Closure<dyn FnMut(CloseEvent)>,
}

/// Begins to open a WebSocket.
pub fn open(url: &str, protocols: &[String], number: u64, events: EventSender) -> Socket {
    let names = Names::new();
    for protocol in protocols {
        names.push(protocol);
    }
    let socket = match WebSocket::new(url, &names) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let reason = error.unchecked_into::<Thrown>().message().unwrap_or_default();
            events(number, SocketEvent::Closed(Some(CloseFrame::new(1006, &reason))));
            None
        }
    };
    let tell = move |event| events(number, event);
    let onopen = Closure::<dyn FnMut()>::new({
        let (socket, tell) = (socket.clone(), tell.clone());
        move || tell(SocketEvent::Open(socket.as_ref().map(WebSocket::protocol).unwrap_or_default()))
    });
    let onmessage = Closure::<dyn FnMut(MessageEvent)>::new({
        let tell = tell.clone();
        move |message: MessageEvent| {
            let data = message.data();
            let binary = || SocketEvent::Binary(ByteArray::new(&data).subarray(0));
            tell(data.as_string().map_or_else(binary, SocketEvent::Text));
        }
    });
    // `error` says nothing and comes before `close`, which has the code.
    let onclose = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
        tell(SocketEvent::Closed(Some(CloseFrame { code: event.code(), reason: event.reason() })));
    });
    if let Some(socket) = &socket {
        socket.set_binary_type("arraybuffer");
        socket.set_onopen(onopen.as_ref());
        socket.set_onmessage(onmessage.as_ref());
        socket.set_onclose(onclose.as_ref());
    }
    Socket { socket, _onopen: onopen, _onmessage: onmessage, _onclose: onclose }
}

impl Socket {
    /// Writes a text message.
    pub fn send(&self, text: String) {
        if let Some(socket) = &self.socket {
            // Fails only while connecting; once closed, the page drops it, and `close` tells.
            let _ = socket.send(&text);
        }
    }

    /// Writes a binary message.
    pub fn send_binary(&self, message: Vec<u8>) {
        if let Some(socket) = &self.socket {
            let _ = socket.send_binary(&message);
        }
    }

    /// Closes; nothing more is told.
    pub fn close(self, code: u16, reason: String) -> Farewell {
        if let Some(socket) = &self.socket {
            let _ = socket.close(Some(code), Some(&reason));
        }
        // The page sends what is buffered, then closes, without us.
        ready(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(socket) = &self.socket else { return };
        socket.set_onopen(&JsValue::NULL);
        socket.set_onmessage(&JsValue::NULL);
        socket.set_onclose(&JsValue::NULL);
        if socket.ready_state() <= OPEN {
            let _ = socket.close(None, None);
        }
    }
}
