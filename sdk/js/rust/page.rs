//! The engine in a page: it works whenever the page calls, and never waits.

use crate::alarm::Alarm;
use crate::events::{Request, Sink};
use readywire::engine::{Engine, Happening, Input, Machine, Next};
use readywire_protocol::time::Instant;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

pub(crate) struct Page {
    engine: RefCell<Engine<Sink>>,
    /// What happened and was not yet fed to the engine. The application may call back while the engine tells it
    /// something, so what it wants then waits here.
    happenings: Cell<Vec<Happening<Request>>>,
    alarm: Alarm,
}

impl Page {
    /// Begins to connect.
    pub(crate) fn open(core: Machine, url: String, sink: Sink) -> Rc<Self> {
        let page = Rc::new_cyclic(|page: &Weak<Self>| {
            let (sockets, timer) = (page.clone(), page.clone());
            let sender = Rc::new(move |number, event| happened(&sockets, Happening::Socket(number, event)));
            Self {
                engine: RefCell::new(Engine::new(core, url, sink, sender)),
                happenings: Cell::default(),
                alarm: Alarm::new(move || happened(&timer, Happening::Timer)),
            }
        });
        page.work();
        page
    }

    pub(crate) fn happened(&self, happening: Happening<Request>) {
        let mut happenings = self.happenings.take();
        happenings.push(happening);
        self.happenings.set(happenings);
        self.work();
    }

    fn work(&self) {
        // Whoever is at work already gets to it.
        let Ok(mut engine) = self.engine.try_borrow_mut() else { return };
        let mut deadline = settle(&mut engine);
        loop {
            let happenings = self.happenings.take();
            if happenings.is_empty() {
                return self.alarm.set(deadline);
            }
            for happening in happenings {
                engine.feed(happening);
                deadline = settle(&mut engine);
            }
        }
    }
}

/// Lets the engine do what is to be done by now, and says when it wants to be woken.
fn settle(engine: &mut Engine<Sink>) -> Option<Instant> {
    loop {
        match engine.settle() {
            Next::Wait(deadline) => return deadline,
            Next::Ask(question) => engine.feed(Happening::Input(Input::Sink(Request::AskToken(question)))),
            // The page sends the last words by itself.
            Next::End(_) => {
                engine.tell();
                return None;
            }
        }
    }
}

fn happened(page: &Weak<Page>, happening: Happening<Request>) {
    if let Some(page) = page.upgrade() {
        page.happened(happening);
    }
}
