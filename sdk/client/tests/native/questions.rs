//! Questions of the server: the application answers each once, over cuts, or says why not.

use crate::server::{PATIENCE, TestServer, eager};
use crate::unreadable::select;
use futures::{SinkExt, StreamExt};
use readywire::{AnswerError, Client, Options, SendError, connect};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::protocol::Message;

async fn connected(server: &TestServer, options: Options) -> Client {
    connect(&server.url(), options).await.unwrap()
}

/// How the handler's answer failed.
fn failed(answer: Result<bool, AnswerError>) -> String {
    match answer {
        Err(AnswerError::Failed { code, .. }) => code,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_handler_goes_on_with_the_answer() {
    let server = TestServer::start().await;
    let client = connected(&server, eager()).await;
    let mut questions = client.questions("confirm");
    let answering = async {
        let question = questions.next().await.unwrap();
        assert_eq!((question.event.as_str(), question.payload::<String>().unwrap().as_str()), ("confirm", "delete"));
        question.answer(&true).await.unwrap();
    };
    let (permitted, ()) = tokio::join!(client.request::<bool>("ask", &"delete"), answering);
    assert!(permitted.unwrap());
    client.close().await;
}

#[tokio::test]
async fn why_there_is_no_answer_reaches_the_handler() {
    let server = TestServer::start().await;
    let client = connected(&server, eager()).await;
    assert_eq!(failed(client.request("ask", &"nobody").await), "unhandled");

    let mut questions = client.questions("confirm");
    let denying = async { questions.next().await.unwrap().refuse("denied", "not today").await.unwrap() };
    let (answer, _) = tokio::join!(client.request("ask", &"delete"), denying);
    assert_eq!(failed(answer), "denied");
    let dropping = async { drop(questions.next().await.unwrap()) };
    let (answer, ()) = tokio::join!(client.request("ask", &"delete"), dropping);
    assert_eq!(failed(answer), "failed");

    // What nobody has read when the reader goes is answered all the same.
    let answer = client.stream::<bool>("ask", &"delete");
    timeout(PATIENCE, async {
        while server.hub.running_work() == 0 {
            tokio::task::yield_now().await
        }
    })
    .await
    .unwrap();
    drop(questions);
    let answer = timeout(PATIENCE, answer.into_future()).await.unwrap().0.unwrap();
    assert_eq!(failed(answer.map(|part| part.payload)), "unhandled");
    client.close().await;
}

#[tokio::test]
async fn it_is_answered_over_a_cut() {
    let server = TestServer::start().await;
    let client = connected(&server, eager()).await;
    let mut questions = client.questions("confirm");
    let answering = async {
        let question = questions.next().await.unwrap();
        server.cut();
        question.answer(&true).await.unwrap();
    };
    let (permitted, ()) = tokio::join!(client.request::<bool>("ask", &"delete"), answering);
    assert!(permitted.unwrap());
    client.close().await;
}

#[tokio::test]
async fn what_is_withdrawn_is_not_asked_any_more() {
    let server = TestServer::start().await;
    let client = connected(&server, eager()).await;
    let mut questions = client.questions("confirm");
    let answer = client.stream::<bool>("ask", &"delete");
    let mut question = timeout(PATIENCE, questions.next()).await.unwrap().unwrap();
    drop(answer);
    timeout(PATIENCE, question.withdrawn()).await.unwrap();
    let late = question.answer(&true).await;
    assert!(matches!(&late, Err(SendError::Refused { code, retry: false, .. }) if code == "not_asked"), "{late:?}");
    client.close().await;
}

/// A server that asks in the same breath in which it says that it is ready.
const ASKS_AT_ONCE: [&str; 5] = [
    r#"{"type":"stage","stage":"ACCEPTED","connection":"c"}"#,
    r#"{"type":"stage","stage":"AUTHENTICATED"}"#,
    r#"{"type":"stage","stage":"SERVICES_READY"}"#,
    r#"{"type":"ready","session":{"id":"s","token":"t","ttl_ms":60000,"resumed":false,"subject":"alice"},"limits":{"max_message_bytes":1000,"max_in_flight":9,"max_in_flight_bytes":1000},"heartbeat":{"interval_ms":60000,"timeout_ms":60000},"capabilities":["resume","questions"]}"#,
    r#"{"type":"message","offset":1,"event":"confirm","asks":true,"payload":"delete"}"#,
];

/// Nobody can be faster than that behind `connect`.
#[tokio::test]
async fn the_first_question_finds_who_was_there_before() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", listener.local_addr().unwrap());
    let mut options = eager();
    let mut questions = options.questions("confirm");
    let client = tokio::spawn(async move { connect(&url, options).await });
    let socket = listener.accept().await.unwrap().0;
    let mut stream = accept_hdr_async(socket, select).await.unwrap();
    for frame in ASKS_AT_ONCE {
        stream.feed(Message::text(frame)).await.unwrap();
    }
    stream.flush().await.unwrap();
    let question = timeout(PATIENCE, questions.next()).await.unwrap().unwrap();
    assert_eq!(question.payload::<String>().unwrap(), "delete");
    let answering = question.answer(&true);
    let answer = loop {
        let text = timeout(PATIENCE, stream.next()).await.unwrap().unwrap().unwrap().into_text().unwrap();
        if text.contains(r#""type":"send""#) {
            break text;
        }
    };
    assert!(answer.contains(r#""re":1"#) && answer.contains(r#""payload":true"#), "{answer}");
    stream.send(Message::text(r#"{"type":"ack","id":1}"#)).await.unwrap();
    timeout(PATIENCE, answering).await.unwrap().unwrap();
    drop(client.await.unwrap().unwrap());
}

#[tokio::test]
async fn what_was_to_be_answered_ends_with_what_never_came_to_be() {
    let mut options = Options::new();
    let mut questions = options.questions("confirm");
    drop(options);
    assert!(timeout(PATIENCE, questions.next()).await.unwrap().is_none());
}
