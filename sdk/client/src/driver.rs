//! The run loop of the Rust API, native and in the browser: waits for whatever comes first, and hands it to the engine.

use crate::clock;
use crate::engine::{Engine, EventSink, Happening, Input, Machine, Next, Question};
use crate::transport::{self, EventReceiver, Task, TaskFuture};
use futures::channel::mpsc::UnboundedReceiver;
use futures::{FutureExt, StreamExt};
use readywire_protocol::time::{Duration, Instant};
use std::future::poll_fn;
use std::task::{Context, Poll};

/// How many wishes of the application come ahead of what its socket has: what it asked for before a message came holds for
/// that message, such as who answers a question, and neither starves the other.
const AHEAD: usize = 64;

/// Asked before each attempt for what it needs, and for fresh tokens (clauses `token.each_attempt`, `auth.refresh`,
/// `existing.opening`).
pub(crate) trait Provider<R> {
    /// What comes of it.
    fn ask(&mut self, question: Question) -> TaskFuture<Happening<R>>;
}

/// Drives a client to its end. Once `inputs` is closed, it says `bye` and ends as well.
pub(crate) async fn run<S, T>(
    core: impl Into<Machine>,
    url: String,
    inputs: UnboundedReceiver<Input<S::Request>>,
    sink: S,
    mut provider: T,
) where
    S: EventSink + Task,
    T: Provider<S::Request> + Task,
{
    let (sender, events) = transport::events();
    let mut engine = Engine::new(core, url, sink, sender);
    let mut waiting = Waiting::<S::Request> { inputs: Some(inputs), events, ahead: 0, asking: Vec::new(), alarm: None };
    let farewell = loop {
        let deadline = match engine.settle() {
            Next::Wait(deadline) => deadline,
            Next::Ask(question) => {
                // Who asks anew for the same has given the former question up.
                let kind = std::mem::discriminant(&question);
                waiting.asking.retain(|(asked, _)| std::mem::discriminant(asked) != kind);
                waiting.asking.push((question, provider.ask(question)));
                continue;
            }
            Next::End(farewell) => break farewell,
        };
        engine.feed(waiting.next(deadline).await);
    };
    if let Some(farewell) = farewell {
        // The application hears of the end when the last words are out.
        farewell.await;
    }
    engine.tell();
}

/// Everything that the loop waits for.
struct Waiting<R> {
    inputs: Option<UnboundedReceiver<Input<R>>>,
    events: EventReceiver,
    /// How many inputs there were since the socket last had its turn.
    ahead: usize,
    asking: Vec<(Question, TaskFuture<Happening<R>>)>,
    /// The timer that runs, and when it wakes. One that wakes too early is kept: to look in vain costs less than to
    /// arm anew at each message.
    alarm: Option<(Instant, TaskFuture<()>)>,
}

impl<R> Waiting<R> {
    async fn next(&mut self, deadline: Option<Instant>) -> Happening<R> {
        match (deadline, &self.alarm) {
            (Some(next), Some((armed, _))) if *armed <= next => {}
            (Some(next), _) => {
                self.alarm = Some((next, Box::pin(clock::sleep(next.saturating_since(clock::now())))));
            }
            (None, _) => self.alarm = None,
        }
        poll_fn(|context| {
            if self.ahead < AHEAD
                && let Poll::Ready(input) = self.poll_input(context)
            {
                self.ahead += 1;
                return Poll::Ready(Happening::Input(input));
            }
            self.ahead = 0;
            if let Poll::Ready(Some((number, event))) = self.events.poll_next_unpin(context) {
                return Poll::Ready(Happening::Socket(number, event));
            }
            if let Poll::Ready(input) = self.poll_input(context) {
                return Poll::Ready(Happening::Input(input));
            }
            for (at, (_, asking)) in self.asking.iter_mut().enumerate() {
                if let Poll::Ready(provided) = asking.poll_unpin(context) {
                    drop(self.asking.swap_remove(at));
                    return Poll::Ready(provided);
                }
            }
            if let Some((_, alarm)) = &mut self.alarm
                && alarm.poll_unpin(context).is_ready()
            {
                self.alarm = None;
                return Poll::Ready(Happening::Timer);
            }
            Poll::Pending
        })
        .await
    }

    fn poll_input(&mut self, context: &mut Context<'_>) -> Poll<Input<R>> {
        let Some(inputs) = &mut self.inputs else { return Poll::Pending };
        let input = std::task::ready!(inputs.poll_next_unpin(context));
        Poll::Ready(input.unwrap_or_else(|| {
            self.inputs = None;
            Input::Close { deadline: Duration::ZERO }
        }))
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::transport::SocketEvent;
    use futures::channel::mpsc;

    #[test]
    fn what_was_asked_for_comes_before_what_comes_later_and_starves_nothing() {
        let (wishes, inputs) = mpsc::unbounded();
        let (mut sender, events) = transport::events();
        let mut waiting = Waiting { inputs: Some(inputs), events, ahead: 0, asking: Vec::new(), alarm: None };
        for number in 0..2 * AHEAD {
            wishes.unbounded_send(Input::Sink(number)).expect("it is there");
        }
        for _ in 0..2 {
            sender.try_send((1, SocketEvent::Text("a message".to_owned()))).expect("it is there");
        }
        let mut order = Vec::new();
        for _ in 0..2 * AHEAD + 2 {
            match waiting.next(None).now_or_never().expect("something waits") {
                Happening::Input(Input::Sink(number)) => order.push(Some(number)),
                Happening::Socket(..) => order.push(None),
                other => panic!("{other:?}"),
            }
        }
        let messages: Vec<usize> = (0..order.len()).filter(|at| order[*at].is_none()).collect();
        assert_eq!(messages, [AHEAD, 2 * AHEAD + 1]);
        assert!(order.into_iter().flatten().eq(0..2 * AHEAD), "wishes keep their order");
    }
}
