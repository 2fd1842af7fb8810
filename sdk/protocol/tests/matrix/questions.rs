//! Questions at the server's end: to whom they go, and what an answer is.

use crate::far::{Far, bound};
use crate::frames;
use readywire_protocol::config::ServerConfig;
use readywire_protocol::frame::{AnswerError, ClientFrame, Hello, Message, Send, ServerFrame};
use readywire_protocol::server::{Bound, ServerEvent};
use readywire_protocol::stage::Stage;

fn config() -> ServerConfig {
    ServerConfig { has_questions: true, ..ServerConfig::default() }
}

fn hello() -> Hello {
    let mut hello = frames::hello();
    hello.capabilities.push("questions".to_owned());
    hello
}

fn ready() -> Far {
    Far::with(config(), Stage::ProcessingReady, hello())
}

fn asks(far: &mut Far, offset: u64) {
    far.core.deliver(Message { asks: true, ..frames::message(offset, "1") });
    far.settle();
}

fn withdraws(far: &mut Far, offset: u64) -> bool {
    far.core.withdraw(offset);
    far.settle();
    far.writes().contains(&ServerFrame::Cancel { re: offset })
}

fn delivered(far: &mut Far) -> Message {
    let message = far.writes().into_iter().find_map(|frame| match frame {
        ServerFrame::Message(message) => Some(message),
        _ => None,
    });
    message.expect("a message")
}

fn sent(far: &mut Far, text: &str) -> Send {
    far.hears(text);
    let send = far.tells().into_iter().find_map(|event| match event {
        ServerEvent::Send(send) => Some(send),
        _ => None,
    });
    send.expect("a send")
}

#[test]
fn they_are_agreed_on_with_the_session() {
    for (theirs, has, agreed) in [
        (vec!["questions"], true, vec![]),
        (vec!["resume", "questions"], true, vec!["resume", "questions"]),
        (vec!["resume", "questions"], false, vec!["resume"]),
    ] {
        let capabilities = theirs.iter().map(|level| (*level).to_owned()).collect();
        let config = ServerConfig { has_questions: has, ..config() };
        let mut far = Far::with(config, Stage::ServicesReady, Hello { capabilities, ..Hello::default() });
        far.core.ready(bound());
        assert_eq!(far.core.levels(), agreed, "{theirs:?}");
        assert_eq!(far.core.answers_questions(), agreed.contains(&"questions"), "{theirs:?}");
    }
    let mut far = Far::with(config(), Stage::ServicesReady, hello());
    far.core.ready(Bound { session: None, ..bound() });
    assert_eq!(far.core.levels(), [""; 0]);
}

#[test]
fn a_question_goes_to_who_answers_questions() {
    let mut far = ready();
    far.forget();
    asks(&mut far, 1);
    let question = delivered(&mut far);
    assert_eq!((question.asks, question.event.as_str(), question.error), (true, "note", None));

    let mut far = Far::with(config(), Stage::ProcessingReady, frames::hello());
    far.forget();
    asks(&mut far, 1);
    let nothing = delivered(&mut far);
    assert_eq!((nothing.offset, nothing.asks, nothing.event.as_str()), (1, false, ""));
    assert_eq!(nothing.payload.text(), Some("null"));
    assert_eq!(nothing.error.expect("why").code, "unsupported");
}

#[test]
fn what_the_client_has_is_withdrawn_and_nothing_else() {
    let mut far = ready();
    far.forget();
    assert!(!withdraws(&mut far, 1), "not delivered");
    asks(&mut far, 1);
    assert!(withdraws(&mut far, 1));
    let mut far = Far::with(config(), Stage::ProcessingReady, frames::hello());
    asks(&mut far, 1);
    assert!(!withdraws(&mut far, 1), "it was no question");
}

#[test]
fn an_answer_has_nothing_that_other_sends_have() {
    let mut far = ready();
    let text = r#"{"type":"send","id":1,"event":"","re":4,"error":{"code":"denied"},"answer":true,"key":"k","topic":"",
        "stream":true,"of":9,"end":true}"#;
    let send = sent(&mut far, text);
    assert_eq!((send.re, send.answer, send.key, send.topic), (Some(4), false, None, None));
    assert_eq!((send.stream, send.of, send.end), (false, None, false));
    let denied = AnswerError { code: "denied".to_owned(), message: String::new() };
    assert_eq!(send.error, Some(denied));
    assert_eq!(sent(&mut far, r#"{"type":"send","id":2,"event":"e","error":{"code":"c"}}"#).error, None);
}

#[test]
fn where_nobody_asks_the_fields_are_ignored() {
    let mut far = Far::with(config(), Stage::ProcessingReady, frames::hello());
    let send = sent(&mut far, r#"{"type":"send","id":1,"event":"","re":4,"error":{"code":"denied"},"answer":true}"#);
    assert_eq!((send.re, send.error, send.answer), (None, None, true));
    let text = ClientFrame::Cancel { re: 1 }.encode();
    far.hears(&text);
    assert!(far.bye().is_none(), "the other direction is what it was");
}
