//! A session that goes from hand to hand, and what those who had it may still write.

use super::*;
use crate::application::Unanswered;
use crate::log::memory::MemoryLog;
use readywire_protocol::frame::Send;
use readywire_protocol::json::Payload;
use readywire_protocol::server::Decision;

fn send(id: u64) -> Vec<(Send, Option<Refusal>)> {
    vec![(Send::new(id, "e", Payload::null()), None)]
}

/// A store, and the id of a session in it, once somebody has it.
struct Hands {
    store: Arc<SessionStore>,
    id: String,
    attempt: u64,
}

impl Hands {
    async fn first() -> (Self, BoundSession) {
        let store = Arc::new(SessionStore::new(MemoryLog::new(), ServerConfig::default()));
        let (_, session) = store.bind(credentials(0), None).await.unwrap();
        (Self { store, id: session.address().id.to_string(), attempt: 0 }, session)
    }

    async fn next(&mut self) -> BoundSession {
        let token = String::new();
        self.attempt += 1;
        let resume = Resume { session: self.id.clone(), token, attempt: self.attempt, settled: 0, inbox: 0 };
        let (granted, session) = self.store.bind(credentials(self.attempt), Some(&resume)).await.unwrap();
        assert!(granted.resumed);
        session
    }
}

/// The hash of a token is the number of the attempt that it was given to.
fn credentials(attempt: u64) -> Credentials {
    let hash = |number: u64| [u8::try_from(number).unwrap(); 32];
    Credentials {
        subject: "alice".to_owned(),
        owner: attempt,
        presented: attempt.checked_sub(1).map(hash),
        fresh_id: format!("s{attempt}"),
        fresh_token: hash(attempt),
    }
}

#[tokio::test]
async fn a_session_is_released_by_who_had_it_and_took_something() {
    let (mut hands, mut first) = Hands::first().await;
    first.take(&send(1)).await.unwrap();
    let mut second = hands.next().await;
    assert!(second.awaits_release());
    second.catch_up().await.unwrap();
    assert!(second.awaits_release());
    first.leave(false, None).await.unwrap();
    second.catch_up().await.unwrap();
    assert!(!second.awaits_release());

    let third = hands.next().await;
    assert!(!third.awaits_release(), "the second took nothing");
}

#[tokio::test]
async fn what_handlers_do_first_is_done_before_a_session_is_released() {
    let (mut hands, mut first) = Hands::first().await;
    first.take(&send(1)).await.unwrap();
    let under_way = first.starts().token();
    let mut second = hands.next().await;
    let leaving = tokio::spawn(async move { first.leave(false, None).await });
    // One thread, and nothing here waits for a clock: whatever can go on has gone on.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    second.catch_up().await.unwrap();
    assert!(second.awaits_release());
    drop(under_way);
    leaving.await.unwrap().unwrap();
    second.catch_up().await.unwrap();
    assert!(!second.awaits_release());
}

/// It would learn of the higher fence, and write under it.
#[tokio::test]
async fn who_reads_that_another_has_the_session_writes_nothing_more() {
    let (mut hands, mut first) = Hands::first().await;
    first.take(&send(1)).await.unwrap();
    let mut second = hands.next().await;
    let mut third = hands.next().await;
    assert_eq!(second.catch_up().await, Err(LogError::Fenced));
    assert_eq!(second.take(&send(2)).await, Err(LogError::Fenced));
    second.leave(false, None).await.unwrap();
    third.catch_up().await.unwrap();
    assert!(third.awaits_release(), "the second knows nothing of the first");
    third.take(&send(2)).await.unwrap();
}

fn in_stream(id: u64, of: Option<u64>) -> (Send, Option<Refusal>) {
    let (plain, _) = send(id).remove(0);
    (Send { stream: of.is_none(), answer: of.is_none(), of, ..plain }, None)
}

/// Between the look at a stream and the append to it, its handler may end; nothing of that is in what is decided.
#[tokio::test]
async fn parts_of_a_stream_that_ends_right_now_are_refused_and_all_else_is_taken() {
    let (mut hands, mut first) = Hands::first().await;
    first.take(&[in_stream(1, None), in_stream(2, None), in_stream(3, Some(1))]).await.unwrap();
    let over = first.address().stream(1);
    hands.store.log.remove(vec![over]).await.unwrap();
    first.confirm_token();
    let sends = [in_stream(4, Some(1)), in_stream(5, Some(2)), send(6).remove(0)];
    let takings = first.take(&sends).await.unwrap();
    let [Taking::Again(Decision::Refused(refusal)), Taking::New, Taking::New] = &takings[..] else {
        panic!("{takings:?}");
    };
    assert_eq!((refusal.id, refusal.code.as_str(), refusal.retry), (4, "stream_over", false));
    assert_eq!(first.streams().look(), [StreamNews::Over { stream: 1 }], "which is told in its turn");
    // As the log has it, too.
    let mut second = hands.next().await;
    assert_eq!(second.take(&sends).await.unwrap()[0], Taking::Again(Decision::Refused(refusal.clone())));
    assert!(!second.streams().is_open(1) && second.streams().is_open(2));
    // A session that is gone is no stream that is.
    hands.store.end(second.address()).await.unwrap();
    assert_eq!(second.take(&[in_stream(7, Some(2))]).await, Err(LogError::Missing));
    assert_eq!(hands.store.log.list("").await.unwrap(), [] as [Name; 0]);
}

/// What the whole of a session does not tell is lost with the records before it.
#[tokio::test]
async fn no_release_is_lost_to_who_sums_up() {
    let (mut hands, mut first) = Hands::first().await;
    for id in 1..=300 {
        first.take(&send(id)).await.unwrap();
    }
    let mut second = hands.next().await;
    first.leave(false, None).await.unwrap();
    // It has not heard of that yet.
    second.confirm_token();
    second.flush().await.unwrap();
    assert!(!hands.next().await.awaits_release());
}

#[tokio::test]
async fn a_question_goes_with_its_session() {
    let (hands, session) = Hands::first().await;
    let (store, address) = (hands.store.clone(), session.address().clone());
    let asks = (store.clone(), address.clone());
    let asking = tokio::spawn(async move {
        let (store, address) = asks;
        store.ask(address, "e", &Payload::null(), Duration::from_secs(60)).await
    });
    while store.asked().is_empty() {
        tokio::task::yield_now().await;
    }
    store.end(&address).await.unwrap();
    assert!(matches!(asking.await.unwrap(), Err(Unanswered::Gone)));
    assert!(store.asked().is_empty(), "nothing renews its log any more");
}
