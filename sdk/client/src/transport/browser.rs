//! The page's WebSocket, through web-sys.

use super::SocketEvent;
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use js_sys::Array;
use readywire_protocol::close::CloseFrame;
use std::future::{Future, Ready, ready};
use std::rc::Rc;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use wasm_bindgen::prelude::JsValue;
use web_sys::{BinaryType, CloseEvent, MessageEvent, WebSocket};

/// Where the events of sockets arrive.
pub type EventReceiver = mpsc::UnboundedReceiver<(u64, SocketEvent)>;
/// Where sockets put their events, each with the number of the socket. A page cannot stop reading; the window of the
/// inbox bounds what waits.
pub type EventSender = Rc<dyn Fn(u64, SocketEvent)>;
/// A future that a task may carry.
pub type TaskFuture<T> = LocalBoxFuture<'static, T>;
/// Ends when the last words are out.
pub type Farewell = Ready<()>;
/// A function that a task may carry, and whose futures it may carry.
pub type TaskFn<T> = Box<dyn FnMut() -> TaskFuture<T>>;

/// What a task may carry.
pub trait Task {}
impl<T> Task for T {}

/// A channel for the events of sockets.
pub fn events() -> (EventSender, EventReceiver) {
    let (sender, receiver) = mpsc::unbounded();
    // The receiver is gone only together with the client.
    let tell = move |number, event| drop(sender.unbounded_send((number, event)));
    (Rc::new(tell), receiver)
}

/// Whether there is somebody to carry tasks: in a page, always.
pub fn can_spawn() -> bool {
    true
}

/// Carries a task to its end.
pub fn spawn(task: impl Future<Output = ()> + Task + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}

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
    let offered = Array::new();
    for protocol in protocols {
        offered.push(&JsValue::from_str(protocol));
    }
    let socket = match WebSocket::new_with_str_sequence(url, &offered) {
        Ok(socket) => Some(socket),
        Err(error) => {
            let reason = error.dyn_ref::<js_sys::Error>().map_or_else(String::new, |error| error.message().into());
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
            tell(message.data().as_string().map_or(SocketEvent::Binary, SocketEvent::Text));
        }
    });
    // `error` says nothing and comes before `close`, which has the code.
    let onclose = Closure::<dyn FnMut(CloseEvent)>::new(move |event: CloseEvent| {
        tell(SocketEvent::Closed(Some(CloseFrame { code: event.code(), reason: event.reason() })));
    });
    if let Some(socket) = &socket {
        socket.set_binary_type(BinaryType::Arraybuffer);
        socket.set_onopen(Some(onopen.as_ref().unchecked_ref()));
        socket.set_onmessage(Some(onmessage.as_ref().unchecked_ref()));
        socket.set_onclose(Some(onclose.as_ref().unchecked_ref()));
    }
    Socket { socket, _onopen: onopen, _onmessage: onmessage, _onclose: onclose }
}

impl Socket {
    /// Writes a text message.
    pub fn send(&self, text: String) {
        if let Some(socket) = &self.socket {
            // Fails only while connecting; once closed, the page drops it, and `close` tells.
            let _ = socket.send_with_str(&text);
        }
    }

    /// Closes; nothing more is told.
    pub fn close(self, code: u16, reason: String) -> Farewell {
        if let Some(socket) = &self.socket {
            let _ = socket.close_with_code_and_reason(code, &reason);
        }
        // The page sends what is buffered, then closes, without us.
        ready(())
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let Some(socket) = &self.socket else { return };
        socket.set_onopen(None);
        socket.set_onmessage(None);
        socket.set_onclose(None);
        if socket.ready_state() <= WebSocket::OPEN {
            let _ = socket.close();
        }
    }
}
