//! Questions of the server: the application answers each once, over cuts, or says why not.

use crate::server::{PATIENCE, TestServer, eager};
use futures::StreamExt;
use readywire::{AnswerError, Client, Options, SendError, connect};
use tokio::time::timeout;

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
