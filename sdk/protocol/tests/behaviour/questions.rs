//! Questions at the client's end: one answer each, in the session of the question alone, and none for what is over.

use crate::frames;
use crate::near::{Near, milliseconds, named, payload, seconds};
use readywire_protocol::client::{Carried, Client, ClientEvent, SendOptions};
use readywire_protocol::config::{ClientConfig, Window};
use readywire_protocol::frame::{AnswerError, ClientFrame, Message, Ready, ServerFrame};
use readywire_protocol::stage::Stage;

fn levels(ready: &mut Ready) {
    ready.capabilities.push("questions".to_owned());
}

fn resumed(received: u64) -> ServerFrame {
    frames::resumed_with(received, levels)
}

fn ready() -> Near {
    Near::ready_with(levels)
}

/// Asked three times, it answered the first before its connection broke off, and the second behind that; the next one is
/// about to be ready.
fn cut_with_two_answers() -> Near {
    let mut near = ready();
    for offset in 1..=3 {
        asks(&mut near, offset);
    }
    answer(&mut near, 7, 1);
    near.breaks_off();
    answer(&mut near, 8, 2);
    near.again();
    near.reach(Stage::ServicesReady);
    near.forget();
    near
}

fn asks(near: &mut Near, offset: u64) {
    near.hears(&ServerFrame::Message(Message { asks: true, ..frames::message(offset, "1") }));
}

fn withdraw(near: &mut Near, re: u64) {
    near.hears(&ServerFrame::Cancel { re });
}

fn answer(near: &mut Near, handle: u64, question: u64) {
    near.client.answer(near.now, handle, question, Ok(payload("true")));
    near.settle();
}

fn error(code: &str) -> AnswerError {
    AnswerError { code: code.to_owned(), message: String::new() }
}

/// The answers that were written since the last look: id, question, and the code of the error.
fn wrote(near: &mut Near) -> Vec<(u64, u64, String)> {
    let answers = near.writes().into_iter().filter_map(|frame| match frame {
        ClientFrame::Send(send) => {
            let code = send.error.map_or_else(String::new, |error| error.code);
            send.re.map(|re| (send.id, re, code))
        }
        _ => None,
    });
    answers.collect()
}

/// What was told since the last look, in short.
fn told(near: &mut Near) -> Vec<String> {
    let short = |event| match event {
        ClientEvent::Question { question, offset, .. } => Some(format!("{question} asked at {offset}")),
        ClientEvent::Withdrawn { question } => Some(format!("{question} withdrawn")),
        ClientEvent::Settled { handle, outcome } => Some(format!("{handle} {}", named(&outcome))),
        ClientEvent::Message { offset, .. } => Some(format!("message {offset}")),
        _ => None,
    };
    near.tells().into_iter().filter_map(short).collect()
}

fn wrote_of(id: u64, re: u64, code: &str) -> (u64, u64, String) {
    (id, re, code.to_owned())
}

#[test]
fn a_question_is_answered_once() {
    let mut near = ready();
    asks(&mut near, 1);
    assert_eq!(told(&mut near), ["1 asked at 1"]);
    near.client.answer(near.now, 7, 1, Ok(payload("true")));
    near.settle();
    let [ClientFrame::Send(send)] = &near.writes()[..] else { panic!("one send") };
    assert_eq!((send.re, send.event.as_str(), send.payload.text(), &send.error), (Some(1), "", Some("true"), &None));
    answer(&mut near, 8, 1);
    assert_eq!(wrote(&mut near), []);
    near.hears(&frames::ack(1));
    assert_eq!(told(&mut near), ["8 refused not_asked", "7 acknowledged 1"]);
    withdraw(&mut near, 1);
    assert_eq!(told(&mut near), [""; 0], "it was answered");
}

#[test]
fn why_there_is_no_answer_is_one_too() {
    let mut near = ready();
    asks(&mut near, 1);
    asks(&mut near, 2);
    near.client.answer(near.now, 7, 1, Err(error("denied")));
    near.client.unhandled(near.now, 2);
    near.settle();
    assert_eq!(wrote(&mut near), [wrote_of(1, 1, "denied"), wrote_of(2, 2, "unhandled")]);
}

#[test]
fn a_resume_asks_nothing_twice_and_answers_nothing_twice() {
    let mut near = ready();
    asks(&mut near, 1);
    asks(&mut near, 2);
    answer(&mut near, 7, 1);
    near.over_a_cut(&resumed(0));
    assert_eq!(wrote(&mut near), [wrote_of(1, 1, "")], "the answer that was written, under its id");
    assert_eq!(told(&mut near), [""; 0], "what was asked is open");
    answer(&mut near, 8, 2);
    assert_eq!(wrote(&mut near), [wrote_of(2, 2, "")]);
}

#[test]
fn an_answer_waits_as_long_as_its_question_is_open() {
    let config = ClientConfig { queue: Window { messages: 1, bytes: 1000 }, ..ClientConfig::default() };
    let mut near = Near::idle(config);
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    asks(&mut near, 1);
    asks(&mut near, 2);
    near.breaks_off();
    near.forget();
    near.send(5, SendOptions::default());
    answer(&mut near, 7, 1);
    answer(&mut near, 8, 2);
    near.pass(seconds(31));
    assert_eq!(told(&mut near), ["5 expired"], "of the three");
    near.go_on();
    near.reach(Stage::ServicesReady);
    near.hears(&resumed(0));
    assert_eq!(wrote(&mut near), [wrote_of(1, 1, ""), wrote_of(2, 2, "")]);
}

#[test]
fn what_is_withdrawn_is_not_answered() {
    let mut near = cut_with_two_answers();
    // What is written before a `cancel` is read keeps its outcome.
    near.hears(&resumed(0));
    for offset in 1..=3 {
        withdraw(&mut near, offset);
    }
    assert_eq!(told(&mut near), ["3 withdrawn"]);
    answer(&mut near, 9, 3);
    near.hears(&ServerFrame::Nack(frames::refusal(1, "not_asked")));
    near.hears(&frames::ack(2));
    assert_eq!(told(&mut near), ["9 refused not_asked", "7 refused not_asked", "8 acknowledged 2"]);
    assert_eq!(wrote(&mut near), [wrote_of(1, 1, ""), wrote_of(2, 2, "")]);
    withdraw(&mut near, 3);
    withdraw(&mut near, 99);
    assert_eq!(told(&mut near), [""; 0], "what is not open is ignored");
}

#[test]
fn an_answer_that_waits_goes_with_its_question() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.limits.max_in_flight = 1;
    }));
    near.send(1, SendOptions::default());
    asks(&mut near, 1);
    answer(&mut near, 7, 1);
    near.forget();
    withdraw(&mut near, 1);
    assert_eq!(told(&mut near), ["7 refused not_asked"]);
    near.hears(&frames::ack(1));
    assert_eq!(wrote(&mut near), []);
}

#[test]
fn another_session_has_other_questions() {
    let mut near = cut_with_two_answers();
    let mut ready = frames::started_over_as("s-2");
    if let ServerFrame::Ready(ready) = &mut ready {
        levels(ready);
    }
    near.hears(&ready);
    assert_eq!(told(&mut near), ["3 withdrawn", "8 refused not_asked", "7 unknown session_lost"]);
    asks(&mut near, 1);
    assert_eq!(told(&mut near), ["4 asked at 1"], "a name of its own");
    answer(&mut near, 9, 1);
    answer(&mut near, 10, 4);
    assert_eq!(wrote(&mut near).iter().map(|(_, re, _)| *re).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_server_that_does_not_ask_is_not_answered() {
    let mut near = Near::ready();
    near.forget();
    asks(&mut near, 1);
    assert_eq!(told(&mut near), ["message 1"], "the field is ignored");
    withdraw(&mut near, 1);
    assert_eq!(near.bye().and_then(|bye| bye.clause.as_deref()), Some("frame.level"));

    let mut near = ready();
    asks(&mut near, 1);
    asks(&mut near, 2);
    answer(&mut near, 7, 1);
    near.over_a_cut(&frames::resumed(0));
    assert_eq!(told(&mut near), ["2 withdrawn", "7 refused unsupported"]);
    assert_eq!(wrote(&mut near), []);
}

#[test]
fn an_answer_that_cannot_be_written_is_replaced_by_why() {
    let mut near = Near::at(Stage::ServicesReady);
    near.hears(&frames::with(|ready| {
        levels(ready);
        ready.limits.max_message_bytes = 200;
    }));
    asks(&mut near, 1);
    asks(&mut near, 2);
    near.forget();
    near.client.answer(near.now, 7, 1, Ok(payload(&format!("\"{}\"", "x".repeat(300)))));
    near.client.answer(near.now, 8, 2, Ok(vec![1].into()));
    near.settle();
    assert_eq!(wrote(&mut near), [wrote_of(1, 1, "too_large"), wrote_of(2, 2, "unsupported")]);
    let told = told(&mut near);
    assert!(told.contains(&"7 refused too_large".to_owned()), "{told:?}");
    assert!(told.contains(&"8 refused unsupported".to_owned()), "{told:?}");
}

#[test]
fn a_reason_that_cannot_be_written_is_replaced_too() {
    for (limit, written) in [(200, vec![wrote_of(1, 1, "too_large")]), (20, vec![])] {
        let mut near = Near::at(Stage::ServicesReady);
        near.hears(&frames::with(|ready| {
            levels(ready);
            ready.limits.max_message_bytes = limit;
        }));
        asks(&mut near, 1);
        let reason = AnswerError { message: "x".repeat(300), ..error("denied") };
        near.client.answer(near.now, 7, 1, Err(reason));
        near.settle();
        assert_eq!(wrote(&mut near), written);
        assert!(told(&mut near).contains(&"7 refused too_large".to_owned()));
    }
}

#[test]
fn the_end_of_the_client_ends_them() {
    let mut near = ready();
    asks(&mut near, 1);
    near.forget();
    near.client.close(near.now, seconds(1));
    near.settle();
    assert_eq!(told(&mut near), ["1 withdrawn"]);
    answer(&mut near, 7, 1);
    assert_eq!(told(&mut near), ["7 refused closed"]);
}

#[test]
fn the_next_client_says_that_what_would_have_answered_is_gone() {
    let mut near = Near::idle(ClientConfig { carried: true, ..ClientConfig::default() });
    near.connect();
    near.reach(Stage::ServicesReady);
    near.hears(&frames::with(levels));
    for offset in 1..=4 {
        asks(&mut near, offset);
    }
    answer(&mut near, 7, 2);
    near.hears(&frames::ack(1));
    answer(&mut near, 8, 3);
    near.pass(milliseconds(50));
    asks(&mut near, 5);
    let stored = near.events.iter().rev().find_map(|event| match event {
        ClientEvent::Carried(carried) => carried.clone(),
        _ => None,
    });
    let stored = stored.expect("something to store");
    assert_eq!(stored.questions, [1, 4, 3], "not what was answered for certain, nor what comes again");
    let stored = Carried::parse(&stored.encode()).expect("what was stored");
    let mut near = Near::of(Client::carry_on(ClientConfig::default(), 8, stored, &[]));
    near.connect();
    near.reach(Stage::ServicesReady);
    near.forget();
    near.hears(&resumed(2));
    let found: Vec<(u64, String)> = wrote(&mut near).into_iter().map(|(_, re, code)| (re, code)).collect();
    assert_eq!(found, [1, 4, 3].map(|offset| (offset, "unhandled".to_owned())));
}
