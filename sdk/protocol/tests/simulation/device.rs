//! The client's side: its driver, its token provider, its application.

use crate::coverage::Sight;
use crate::plan::Action;
use crate::reload::Pages;
use crate::scene::{Happening, Parcel, Scene};
use crate::streams::Writer;
use crate::tokens::{Question, Token};
use readywire_protocol::SUBPROTOCOL;
use readywire_protocol::client::{Client, ClientEvent, Command, TokenFailure};
use readywire_protocol::close::{self, CloseFrame};
use readywire_protocol::frame::Auth;
use readywire_protocol::json::Payload;
use readywire_protocol::time::Duration;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Device {
    pub(crate) client: Client,
    /// The sockets that are being opened or open: two, while a server goes away; one more, if a former one still decides.
    pub(crate) sockets: Vec<u64>,
    pub(crate) writers: BTreeMap<u64, Writer>,
    /// How many answers were given.
    pub(crate) replies: u64,
    pub(crate) pages: Pages,
}

impl Device {
    pub(crate) fn new(scene: &mut Scene) -> Self {
        let seed = scene.random.draw();
        let client = Client::new(scene.plan.client.clone(), seed);
        Self { client, sockets: Vec::new(), writers: BTreeMap::new(), replies: 0, pages: Pages::default() }
    }

    pub(crate) fn act(&mut self, scene: &mut Scene, action: Action) {
        scene.watch.note_line(|| format!("application {action:?}"));
        let now = scene.now;
        match action {
            Action::Send { handle, event, padding, options } => {
                let text = format!(r#"{{"send":{handle},"padding":"{}"}}"#, "x".repeat(padding));
                let Ok(payload) = Payload::parse(&text) else { return };
                scene.watch.offered(handle, &options);
                let stream = options.stream;
                self.client.send(now, handle, event, payload, options);
                if stream {
                    self.open_stream(scene, handle);
                }
            }
            Action::Cancel(handle) => {
                scene.watch.cancelled(handle);
                self.client.cancel(now, handle);
            }
            Action::Subscribe { handle, topic, from } => {
                scene.watch.following(handle, topic, &from);
                self.client.subscribe(handle, topic, from);
            }
            Action::History { handle, topic, limit, before } => {
                scene.watch.paging(handle, topic, limit, before.as_ref());
                self.client.history(now, handle, topic, limit, before);
            }
            Action::Answer { page, question, manner } if page == self.pages.earlier => {
                self.answer(scene, question, manner);
            }
            // Who would have answered is gone.
            Action::Answer { .. } => {}
            Action::Reload => self.reload(scene),
            Action::Abandon(handle) => self.client.abandon(now, handle),
            Action::Wake => {
                scene.watch.woken();
                self.client.wake(now);
            }
            Action::Close => {
                let deadline = scene.random.millis(0, 5_000);
                scene.watch.closing(deadline, self.client.unsettled());
                self.client.close(now, deadline);
            }
        }
    }

    fn has(&self, number: u64) -> bool {
        self.sockets.contains(&number)
    }

    /// The link that the application's messages go through.
    pub(crate) fn current(&self, scene: &Scene) -> Option<usize> {
        let number = scene.watch.current;
        if self.has(number) { scene.link(number) } else { None }
    }

    /// Something came from the network.
    pub(crate) fn read(&mut self, scene: &mut Scene, link: usize, parcel: Parcel) {
        let number = scene.links[link].number;
        if !self.has(number) {
            // The driver has forgotten the socket; the core must not mind what it still brings.
            scene.watch.saw(Sight::OldNumber);
        }
        let Some(attempt) = self.pages.attempt(number) else { return };
        match parcel {
            Parcel::Open => self.client.handle_open(scene.now, attempt, SUBPROTOCOL),
            Parcel::Text(text) => {
                if self.has(number) {
                    scene.watch.client_read(link, number, &text);
                }
                self.client.handle_message(scene.now, attempt, &text);
            }
            Parcel::Close(frame) => self.notice(scene, number, Some(frame)),
        }
    }

    /// The socket is gone.
    pub(crate) fn notice(&mut self, scene: &mut Scene, number: u64, frame: Option<CloseFrame>) {
        scene.watch.note_line(|| format!("client's socket {number} is closed: {frame:?}"));
        let told = frame.as_ref().is_some_and(|frame| frame.code == close::SESSION_TAKEN_OVER);
        if let Some(link) = scene.link(number).filter(|_| told && self.has(number)) {
            scene.watch.fenced(link);
        }
        self.sockets.retain(|open| *open != number);
        if let Some(link) = scene.link(number) {
            scene.links[link].up = false;
        }
        if let Some(attempt) = self.pages.attempt(number) {
            self.client.handle_closed(scene.now, attempt, frame);
        }
    }

    pub(crate) fn token(&mut self, scene: &mut Scene, number: u64, token: Result<Option<Auth>, TokenFailure>) {
        scene.watch.note_line(|| format!("token for {number}: {}", if token.is_ok() { "given" } else { "failed" }));
        if let Some(attempt) = self.pages.attempt(number) {
            self.client.provide_token(scene.now, attempt, token);
        }
    }

    pub(crate) fn fresh_token(&mut self, scene: &mut Scene, number: u64, token: Result<Option<Auth>, TokenFailure>) {
        scene.watch.note_line(|| format!("fresh token {number}: {}", if token.is_ok() { "given" } else { "failed" }));
        if let Some(refresh) = self.pages.refresh(number) {
            self.client.provide_fresh_token(scene.now, refresh, token);
        }
    }

    pub(crate) fn handle_timeout(&mut self, scene: &mut Scene) {
        scene.watch.note_line(|| "client's timer".to_owned());
        self.client.handle_timeout(scene.now);
    }

    /// Carries out what the core asks and tells the application, which may want more: that is carried out before it is
    /// told anything else.
    pub(crate) fn settle(&mut self, scene: &mut Scene, processes_up: &[usize]) {
        loop {
            self.carry_out(scene, processes_up);
            let Some(event) = self.client.poll_event() else { break };
            let event = self.pages.event(event);
            scene.watch.event(&event);
            match event {
                ClientEvent::Queued { handle } => self.queued(scene, handle),
                ClientEvent::StreamOver { handle } => self.stream_over(handle),
                ClientEvent::Question { question, .. } => self.asked(scene, question),
                ClientEvent::Carried(carried) => self.pages.carried = carried,
                _ => {}
            }
        }
        let link = self.current(scene);
        scene.watch.client_state(link, self.client.state(), self.client.unsettled());
    }

    fn carry_out(&mut self, scene: &mut Scene, processes_up: &[usize]) {
        while let Some(command) = self.client.poll_command() {
            let command = self.pages.command(command);
            scene.watch.command(&command);
            match command {
                Command::AskToken { number } => {
                    let (delay, token) = ask_token(scene, Question::Attempt(number));
                    scene.later(delay, Happening::Token { number, token });
                }
                Command::AskFreshToken { number } => {
                    let (delay, token) = ask_token(scene, Question::Refresh(number));
                    scene.later(delay, Happening::FreshToken { number, token });
                }
                Command::Dial { number, protocols, .. } => {
                    self.sockets.push(number);
                    // One that decides what an earlier session wrote, one that is current, and the next.
                    let most = self.sockets.len() <= 3;
                    scene.watch.require(most, "at most three connections at a time", || format!("{:?}", self.sockets));
                    dial(scene, number, &protocols, processes_up);
                }
                Command::TransmitBinary { .. } => unreachable!("nobody sends bytes here"),
                Command::Transmit { number, text } => {
                    let link = scene.link(number).filter(|_| self.has(number));
                    scene.watch.require(link.is_some(), "only an open socket is written to", || text.clone());
                    let Some(link) = link else { continue };
                    scene.watch.client_wrote(link, &text);
                    scene.write_to_server(link, Parcel::Text(text));
                }
                Command::Close { number, code, reason } => {
                    let legal = (code == 1000 || (3000..5000).contains(&code)) && reason.len() <= 123;
                    scene.watch.require(legal, "a page may close with 1000 or 3000 to 4999", || format!("{code}"));
                    match code {
                        4201 => scene.watch.saw(Sight::NotReadyInTime),
                        4203 => scene.watch.saw(Sight::ServerSilent),
                        4210 => scene.watch.saw(Sight::NoProgress),
                        _ => {}
                    }
                    self.sockets.retain(|open| *open != number);
                    if let Some(link) = scene.link(number) {
                        match code {
                            close::MOVED => scene.watch.left(link),
                            close::SESSION_TAKEN_OVER => scene.watch.fenced(link),
                            _ => {}
                        }
                        scene.links[link].hung_up = true;
                        scene.write_to_server(link, Parcel::Close(CloseFrame { code, reason }));
                    }
                }
            }
        }
    }
}

/// What the provider says, and when.
fn ask_token(scene: &mut Scene, question: Question) -> (Duration, Result<Option<Auth>, TokenFailure>) {
    let (fails, slow, bad) = (scene.plan.token_fails, scene.plan.token_slow, scene.plan.token_bad);
    let delay = if scene.strikes(slow) { scene.random.millis(0, 14_000) } else { scene.random.millis(0, 20) };
    let subject = match scene.plan.new_subject_at {
        Some(at) if at <= scene.now => "bob",
        _ => "alice",
    };
    let token = if scene.strikes(fails) {
        let fatal = scene.random.chance(2);
        Err(TokenFailure { message: "the provider is down".to_owned(), fatal })
    } else {
        let good = !scene.strikes(bad);
        let ends = scene.plan.token_life.map(|life| scene.now + delay + life);
        Ok(Some(Token { good, subject: subject.to_owned(), question, ends }.write()))
    };
    (delay, token)
}

fn dial(scene: &mut Scene, number: u64, protocols: &[String], processes_up: &[usize]) {
    let (fails, hangs, repeats) = (scene.plan.dial_fails, scene.plan.dial_hangs, scene.plan.dial_repeats);
    if processes_up.is_empty() || scene.strikes(fails) {
        let delay = scene.random.millis(0, 400);
        // Nobody answers at all now and then.
        if !scene.random.chance(10) || scene.calm {
            scene.later(delay, Happening::ClientNotices { number, frame: None });
        }
        return;
    }
    let mut process = *scene.random.pick(processes_up);
    if scene.strikes(repeats) {
        scene.watch.saw(Sight::RepeatedUpgrade);
        scene.dial(number, protocols, process, true);
        process = *scene.random.pick(processes_up);
    }
    let hangs = scene.strikes(hangs);
    if hangs {
        scene.watch.saw(Sight::LateUpgrade);
    }
    scene.dial(number, protocols, process, hangs);
}
