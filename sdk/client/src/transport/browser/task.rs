//! What the API's run loop needs of a page.

use super::{EventSender, SocketEvent};
use futures::channel::mpsc;
use futures::future::LocalBoxFuture;
use std::future::Future;
use std::rc::Rc;

/// Where the events of sockets arrive.
pub type EventReceiver = mpsc::UnboundedReceiver<(u64, SocketEvent)>;
/// A future that a task may carry.
pub type TaskFuture<T> = LocalBoxFuture<'static, T>;
/// A function that a task may carry, and whose futures it may carry.
pub type TaskFn<A, T> = Box<dyn FnMut(A) -> TaskFuture<T>>;

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
