//! The client at a server that does not speak this protocol: the gate, the queue, the outcomes, and what stays unsaid.

use readywire_protocol::clause::Clause;
use readywire_protocol::client::{
    ClientEvent, ClientState, Command, End, Existing, ExistingServer, Outcome, READY_MESSAGE, Rejection, StateChange,
};
use readywire_protocol::close::CloseFrame;
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::error::PeerMisbehaved;
use readywire_protocol::stage::Stage;
use readywire_protocol::time::{Duration, Instant};

const READY: &str = r#"{"type":"welcome"}"#;

struct Near {
    client: Existing,
    now: Instant,
    number: u64,
    wire: Vec<String>,
    events: Vec<String>,
    states: Vec<StateChange>,
    end: Option<End>,
}

impl Near {
    fn new(protocols: &[&str], confirms: bool, config: ClientConfig) -> Self {
        let protocols = protocols.iter().map(|protocol| (*protocol).to_owned()).collect();
        let mut client = Existing::new(config, ExistingServer { protocols, confirms }, 7);
        client.connect(Instant::default());
        let mut near = Self {
            client,
            now: Instant::default(),
            number: 1,
            wire: Vec::new(),
            events: Vec::new(),
            states: Vec::new(),
            end: None,
        };
        near.drain();
        near
    }

    fn with_rule() -> Self {
        Self::new(&["chat.v1"], true, ClientConfig::default())
    }

    fn without_rule() -> Self {
        Self::new(&[], false, ClientConfig::default())
    }

    fn drain(&mut self) {
        while let Some(command) = self.client.poll_command() {
            match command {
                Command::AskToken { number } => {
                    self.number = number;
                    self.wire.push(format!("ask {number}"));
                }
                Command::Dial { protocols, .. } => self.wire.push(format!("dial {}", protocols.join(","))),
                Command::Transmit { number, text } => self.wire.push(format!("{number}> {text}")),
                Command::Close { code, reason, .. } => self.wire.push(format!("close {code} {reason}")),
                other => panic!("{other:?}"),
            }
        }
        while let Some(event) = self.client.poll_event() {
            match event {
                ClientEvent::State(change) => self.states.push(change),
                ClientEvent::Settled { handle, outcome } => self.events.push(format!("{handle} {}", named(&outcome))),
                ClientEvent::Text(text) => self.events.push(text),
                ClientEvent::Closed(end) => {
                    self.events.push(format!("closed {} {}", end.code, end.reason));
                    self.end = Some(end);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    fn wire(&mut self) -> Vec<String> {
        self.drain();
        std::mem::take(&mut self.wire)
    }

    fn events(&mut self) -> Vec<String> {
        self.drain();
        std::mem::take(&mut self.events)
    }

    fn open(&mut self, opening: &[&str]) {
        let opening = opening.iter().map(|text| (*text).to_owned()).collect();
        self.client.provide_opening(self.now, self.number, Ok(opening));
        self.client.handle_open(self.now, self.number, "chat.v1");
        self.drain();
    }

    fn say(&mut self, text: &str) {
        let ready = self.client.awaits_rule(self.number) && text == READY;
        self.client.handle_message(self.now, self.number, text, ready);
        self.drain();
    }

    fn send(&mut self, handle: u64, text: &str) {
        self.client.send(self.now, handle, text.to_owned(), false, None);
        self.drain();
    }

    fn lose(&mut self, code: u16) {
        self.client.handle_closed(self.now, self.number, Some(CloseFrame::new(code, "")), false);
        self.drain();
    }

    fn pass(&mut self) {
        self.now = self.client.poll_timeout().expect("a deadline");
        self.client.handle_timeout(self.now);
        self.drain();
    }

    /// The timer runs out in just so long: a moment earlier nothing may happen.
    fn expires_in(&mut self, after: Duration) {
        let deadline = self.now + after;
        assert_eq!(self.client.poll_timeout(), Some(deadline), "the next timer");
        let before = self.client.clone();
        self.client.handle_timeout(deadline - Duration::from_millis(1));
        assert_eq!(self.client, before, "nothing happens before the timer runs out");
        self.pass();
    }

    fn state(&self) -> ClientState {
        self.client.state()
    }

    /// The reason and the code that were told last.
    fn told(&self) -> (Option<u16>, &str) {
        let change = self.states.last().expect("a change of state");
        (change.code, change.reason.as_deref().unwrap_or_default())
    }
}

fn named(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Written { attempt } => format!("written on {attempt}"),
        Outcome::Refused(Rejection { code, .. }) => format!("refused {code}"),
        other => format!("{other:?}"),
    }
}

/// Clauses `existing.mode`, `existing.opening`, `existing.gate`.
#[test]
fn nothing_but_the_opening_leaves_before_the_rule_has_said_ready() {
    let mut near = Near::with_rule();
    near.send(1, "first");
    near.open(&["init"]);
    near.send(2, "second");
    near.say("something else");
    assert_eq!(near.wire(), ["ask 1", "dial chat.v1", "1> init"]);
    assert_eq!(near.state(), ClientState::Connecting);
    assert_eq!(near.states.last().unwrap().pending, [READY_MESSAGE]);
    near.say(READY);
    near.send(3, "third");
    assert_eq!(near.wire(), ["1> first", "1> second", "1> third"]);
    assert_eq!(near.state(), ClientState::ProcessingReady);
    let told = ["something else", READY, "1 written on 1", "2 written on 1", "3 written on 1"];
    assert_eq!(near.events(), told, "every message is handed over, and nothing is acknowledged");
}

/// Clause `existing.gate`: readiness belongs to one connection, and the opening is asked for anew.
#[test]
fn the_next_connection_begins_with_a_shut_gate() {
    let mut near = Near::with_rule();
    near.open(&["init a"]);
    near.say(READY);
    near.send(1, "on the first");
    near.lose(1006);
    assert_eq!(near.state(), ClientState::Connecting);
    near.send(2, "between");
    near.pass();
    near.open(&["init b"]);
    near.send(3, "behind the open socket");
    let expected = ["ask 1", "dial chat.v1", "1> init a", "1> on the first", "ask 2", "dial chat.v1", "2> init b"];
    assert_eq!(near.wire(), expected);
    near.say(READY);
    assert_eq!(near.wire(), ["2> between", "2> behind the open socket"], "nothing is written twice");
}

/// Clause `existing.timeout`.
#[test]
fn a_rule_that_never_says_ready_ends_the_attempt_and_names_what_came_last() {
    let mut near = Near::with_rule();
    near.open(&[]);
    near.say(r#"{"type":"hello"}"#);
    near.pass();
    assert_eq!(near.now, Instant::default() + ClientConfig::default().stage_timeout);
    assert_eq!(near.wire().last().unwrap(), "close 1000 ", "with a code that every server knows");
    let change = near.states.last().unwrap();
    assert_eq!(change.code, Some(4201));
    assert!(change.reason.as_ref().unwrap().contains(r#"the last began `{"type":"hello"}`"#), "{change:?}");
    near.pass();
    near.open(&[]);
    near.pass();
    assert!(near.states.last().unwrap().reason.as_ref().unwrap().contains("has said nothing"));
}

/// Clause `existing.unconfirmed`.
#[test]
fn without_a_rule_sends_go_out_at_the_open_socket_and_nothing_is_called_ready() {
    let mut near = Near::without_rule();
    near.send(1, "first");
    near.open(&["init"]);
    near.say(READY);
    near.send(2, "second");
    assert_eq!(near.wire(), ["ask 1", "dial ", "1> init", "1> first", "1> second"]);
    assert_eq!(near.state(), ClientState::Unconfirmed);
    near.lose(1006);
    near.pass();
    near.open(&[]);
    assert_eq!(near.state(), ClientState::Unconfirmed);
    assert!(near.states.iter().all(|change| !change.state.is_ready()), "{:?}", near.states);
}

/// Clause `existing.close`: 4001, 4401 and 1000 are that server's own, and none of them ends it by itself.
#[test]
fn codes_mean_nothing_until_the_application_says_so() {
    let mut near = Near::with_rule();
    for code in [4001, 4006, 4401, 4104, 1000, 1011] {
        near.open(&[]);
        near.say(READY);
        near.lose(code);
        near.pass();
    }
    assert_eq!(near.state(), ClientState::Connecting);
    near.open(&[]);
    near.send(1, "never");
    near.client.handle_closed(near.now, near.number, Some(CloseFrame::new(4403, "forbidden")), true);
    let events = near.events();
    assert_eq!(events[events.len() - 2..], ["1 refused closed", "closed 4403 forbidden"]);
    near.send(2, "after the end");
    assert_eq!(near.events(), ["2 refused closed"]);
    assert_eq!(near.client.poll_timeout(), None);
}

/// Clause `existing.mode`.
#[test]
fn a_server_that_selects_none_of_its_subprotocols_is_another_server() {
    let mut near = Near::with_rule();
    near.client.provide_opening(near.now, 1, Ok(vec!["init".to_owned()]));
    near.client.handle_open(near.now, 1, "");
    assert_eq!(near.wire(), ["ask 1", "dial chat.v1", "close 1000 "], "nothing is written to it");
    assert!(near.events()[0].starts_with("closed 4006"));
}

/// Clause `existing.outcome`, with the bounds of `queue.bounds`.
#[test]
fn the_queue_is_bounded_by_number_bytes_and_age() {
    let queue = Window { messages: 2, bytes: 10 };
    let mut near = Near::new(&[], true, ClientConfig { queue, ..ClientConfig::default() });
    near.send(1, "12345678");
    near.send(2, "123");
    near.send(3, "12");
    near.send(4, "");
    near.client.send(near.now, 5, "now".to_owned(), true, None);
    assert_eq!(near.events(), ["2 refused queue_full", "4 refused queue_full", "5 refused not_ready"]);
    near.client.abandon(near.now, 1);
    near.client.send(near.now, 6, "brief".to_owned(), false, Some(Duration::from_millis(5)));
    near.client.provide_opening(near.now, 1, Ok(Vec::new()));
    near.pass();
    assert_eq!(near.events(), ["1 refused withdrawn", "6 Expired"]);
    near.client.handle_open(near.now, 1, "");
    near.now = near.now + ClientConfig::default().queue_age;
    near.client.handle_timeout(near.now);
    assert_eq!(near.events(), ["3 Expired"]);
    assert_eq!(near.client.unsettled(), 0);
}

#[test]
fn closing_waits_for_what_waits_and_then_for_nothing() {
    let mut near = Near::with_rule();
    near.send(1, "last words");
    near.client.close(near.now, Duration::from_secs(5));
    near.open(&[]);
    near.say(READY);
    assert_eq!(near.wire(), ["ask 1", "dial chat.v1", "1> last words", "close 1000 "]);
    assert_eq!(near.events(), [READY, "1 written on 1", "closed 1000 closed by the application"]);

    let mut near = Near::with_rule();
    near.send(1, "never");
    near.client.close(near.now, Duration::from_secs(5));
    near.pass();
    assert_eq!(near.events(), ["1 refused closed", "closed 1000 closed by the application"]);
}

#[test]
fn what_an_old_socket_brings_is_dropped() {
    let mut near = Near::with_rule();
    near.open(&[]);
    near.lose(1006);
    near.pass();
    near.open(&[]);
    near.client.handle_message(near.now, 1, READY, true);
    near.client.handle_closed(near.now, 1, None, true);
    assert_eq!(near.events(), [""; 0]);
    assert_eq!(near.state(), ClientState::Connecting);
    near.say(READY);
    assert_eq!(near.state(), ClientState::ProcessingReady);
}

#[test]
fn a_binary_message_ends_it_rather_than_being_lost() {
    let mut near = Near::with_rule();
    near.open(&[]);
    near.client.handle_binary(near.now, 1);
    assert!(near.events()[0].starts_with("closed 4415"));
}

#[test]
fn each_step_has_its_deadline() {
    let ClientConfig { connect_timeout, stage_timeout, .. } = ClientConfig::default();
    let mut near = Near::with_rule();
    near.expires_in(connect_timeout);
    assert_eq!(near.told(), (Some(4101), "no opening in time"));
    let retry_at = near.states.last().unwrap().retry_at.expect("another attempt");
    assert!(retry_at > near.now);
    near.expires_in(retry_at.saturating_since(near.now));
    assert_eq!(near.wire(), ["ask 1", "ask 2"]);

    near.client.provide_opening(near.now, 2, Ok(Vec::new()));
    near.expires_in(connect_timeout);
    assert_eq!(near.told(), (Some(1006), "the WebSocket did not open in time"));
    near.pass();
    near.open(&[]);
    near.expires_in(stage_timeout);
    assert_eq!(near.told(), (Some(4201), "not ready in time: the server has said nothing"));
    near.pass();
    near.open(&[]);
    near.say(READY);
    assert_eq!(near.client.poll_timeout(), None, "a server that is ready may be silent");
}

#[test]
fn a_close_has_its_deadline() {
    let mut near = Near::with_rule();
    near.send(1, "never");
    near.send(2, "neither");
    assert_eq!(near.client.unsettled(), 2);
    near.client.close(near.now, Duration::from_secs(9));
    near.client.close(near.now, Duration::from_secs(5));
    near.client.close(near.now, Duration::from_secs(7));
    near.expires_in(Duration::from_secs(5));
    assert_eq!((near.state(), near.client.unsettled()), (ClientState::Closed, 0));
}

/// Where the end found it: at a server that confirmed nothing, nothing was confirmed.
#[test]
fn the_end_says_how_far_it_was() {
    let ended = |mut near: Near, ready: bool| {
        near.open(&[]);
        if ready {
            near.say(READY);
        }
        near.client.handle_closed(near.now, near.number, Some(CloseFrame::new(4403, "no")), true);
        near.drain();
        assert_eq!(near.state(), ClientState::Closed);
        let end = near.end.expect("an end");
        (end.stage, end.pending)
    };
    let awaited = vec![READY_MESSAGE.to_owned()];
    assert_eq!(ended(Near::with_rule(), true), (Stage::ProcessingReady, vec![]));
    assert_eq!(ended(Near::with_rule(), false), (Stage::Connecting, awaited));
    assert_eq!(ended(Near::without_rule(), true), (Stage::Connecting, vec![]));
}

#[test]
fn a_close_that_says_nothing_is_told_in_words() {
    let told = |dialling: bool, frame: Option<CloseFrame>| {
        let mut near = Near::with_rule();
        near.client.provide_opening(near.now, 1, Ok(Vec::new()));
        if !dialling {
            near.client.handle_open(near.now, 1, "chat.v1");
        }
        near.client.handle_closed(near.now, 1, frame, false);
        near.drain();
        let (code, reason) = near.told();
        (code.unwrap(), reason.to_owned())
    };
    assert_eq!(told(true, None), (1006, "the WebSocket could not be opened".to_owned()));
    assert_eq!(told(false, None), (1006, "the connection broke off".to_owned()));
    assert_eq!(told(false, Some(CloseFrame::new(1011, ""))), (1011, String::new()));
    assert_eq!(told(false, Some(CloseFrame::new(1006, "why"))), (1006, "why".to_owned()));
}

#[test]
fn waking_up_ends_a_wait_and_nothing_else() {
    let mut near = Near::with_rule();
    near.open(&[]);
    near.client.wake(near.now);
    assert_eq!(near.wire(), ["ask 1", "dial chat.v1"], "nothing is known that could be asked");
    near.lose(1006);
    near.client.wake(near.now);
    assert_eq!(near.wire(), ["ask 2"]);
}

#[test]
fn what_cannot_be_read_ends_the_connection_alone() {
    for ready in [false, true] {
        let mut near = Near::with_rule();
        near.open(&[]);
        if ready {
            near.say(READY);
        }
        near.client.handle_violation(near.now, 1, PeerMisbehaved::new(Clause::FrameMalformed, "no UTF-8"));
        assert_eq!(near.wire().last().map(String::as_str), Some("close 1000 "));
        assert_eq!((near.told(), near.state()), ((Some(4400), "no UTF-8"), ClientState::Connecting));
    }
}

/// Whatever comes for another connection, or at another time than it can, changes nothing.
#[test]
fn what_comes_at_the_wrong_time_is_dropped() {
    let mut waiting = Near::with_rule();
    waiting.open(&[]);
    waiting.lose(1006);
    let mut asking = Near::with_rule();
    asking.open(&[]);
    asking.lose(1006);
    asking.pass();
    let mut open = Near::with_rule();
    open.open(&[]);
    open.lose(1006);
    open.pass();
    open.open(&[]);
    for (near, numbers) in [(&waiting, &[0, 1, 2][..]), (&asking, &[1, 3]), (&open, &[1, 3])] {
        for number in numbers.iter().copied() {
            assert!(!near.client.awaits_rule(number), "{number}");
            let mut client = near.client.clone();
            client.provide_opening(near.now, number, Ok(vec!["init".to_owned()]));
            client.handle_open(near.now, number, "chat.v1");
            client.handle_message(near.now, number, READY, true);
            client.handle_binary(near.now, number);
            client.handle_violation(near.now, number, PeerMisbehaved::new(Clause::FrameMalformed, "no UTF-8"));
            client.handle_closed(near.now, number, None, true);
            assert_eq!(client, near.client, "{number}");
        }
    }
    assert!(open.client.awaits_rule(2));
    let mut again = open.client.clone();
    again.provide_opening(open.now, 2, Ok(Vec::new()));
    again.handle_open(open.now, 2, "chat.v1");
    assert_eq!(again, open.client, "it is open already");
    let mut early = asking.client.clone();
    early.handle_open(asking.now, 2, "chat.v1");
    early.handle_binary(asking.now, 2);
    early.handle_violation(asking.now, 2, PeerMisbehaved::new(Clause::FrameMalformed, "no UTF-8"));
    assert_eq!(early, asking.client, "there is no socket yet");
    open.say(READY);
    assert!(!open.client.awaits_rule(2), "it has said so");
}

#[test]
fn what_was_withdrawn_makes_room() {
    let queue = Window { messages: 9, bytes: 10 };
    let mut near = Near::new(&[], true, ClientConfig { queue, ..ClientConfig::default() });
    near.send(1, "12345678");
    near.client.abandon(near.now, 1);
    near.send(2, "1234567890");
    near.send(3, "1");
    assert_eq!(near.events(), ["1 refused withdrawn", "3 refused queue_full"]);
}

/// A connection that was ready for long enough forgets what failed before.
#[test]
fn a_stable_connection_forgets_failures() {
    let wait_after = |stable: Duration| {
        let mut longest = Duration::ZERO;
        for seed in 0..20 {
            let mut client =
                Existing::new(ClientConfig::default(), ExistingServer { protocols: Vec::new(), confirms: true }, seed);
            let mut now = Instant::default();
            client.connect(now);
            for _ in 0..8 {
                while client.poll_command().is_some() {}
                now = client.poll_timeout().expect("a deadline");
                client.handle_timeout(now);
            }
            client.provide_opening(now, 5, Ok(Vec::new()));
            client.handle_open(now, 5, "");
            client.handle_message(now, 5, READY, true);
            assert_eq!(client.state(), ClientState::ProcessingReady);
            now = now + stable;
            client.handle_closed(now, 5, None, false);
            longest = longest.max(client.poll_timeout().expect("another attempt").saturating_since(now));
        }
        longest
    };
    assert!(wait_after(Duration::ZERO) > Duration::from_secs(2));
    assert!(wait_after(Duration::from_secs(3600)) <= Duration::from_millis(500));
}
