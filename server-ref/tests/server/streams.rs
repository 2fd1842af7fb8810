//! Streams: what follows a send to its handler, no faster than that reads, in whichever process it is.

use crate::peer::{PATIENCE, Raw, hello_as, parts, resuming, served, with_handlers};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::{ServerConfig, Window};
use readywire_server::application::{Answer, Application, Failure, Handler, Request};
use readywire_server::handlers::Echo;
use readywire_server::hub::Parts;
use readywire_server::log::Log;
use readywire_server::log::memory::MemoryLog;
use readywire_server::server::Running;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};

/// Sends back each part that it is let read, and at the end their number. Tells how it ended.
#[derive(Clone)]
struct Copy {
    reads: Arc<Semaphore>,
    ends: mpsc::UnboundedSender<&'static str>,
}

impl Handler for Copy {
    fn handle<'a>(&'a self, mut request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let mut count = 0;
            loop {
                self.reads.acquire().await.unwrap().forget();
                match request.parts.next().await {
                    Some(Ok(part)) if part.text() == Some("\"stop\"") => {
                        return answer.end("stopped", &count).await;
                    }
                    Some(Ok(part)) => answer.part("copied", part, false).await?,
                    None => break,
                    Some(Err(broken)) => {
                        let _ = self.ends.send("broke off");
                        return Err(broken.into());
                    }
                }
                count += 1;
            }
            let _ = self.ends.send("ended");
            answer.end("copied all", &count).await
        }
        .boxed()
    }
}

struct Bench {
    reads: Arc<Semaphore>,
    ends: mpsc::UnboundedReceiver<&'static str>,
    application: Application,
}

/// What a stream takes: four parts, 100 bytes; two streams at once.
fn bench() -> Bench {
    let reads = Arc::new(Semaphore::new(0));
    let (ended, ends) = mpsc::unbounded_channel();
    let application = Application::new().with("copy", Copy { reads: reads.clone(), ends: ended }).with("echo", Echo);
    Bench { reads, ends, application }
}

fn config() -> ServerConfig {
    ServerConfig { stream: Window { messages: 4, bytes: 100 }, streams: 2, ..ServerConfig::default() }
}

impl Bench {
    fn parts(&self) -> Parts {
        Parts { config: config(), ..with_handlers(self.application.clone()) }
    }

    async fn served(&self) -> Running {
        served(self.parts()).await
    }

    fn lets_read(&self, parts: usize) {
        self.reads.add_permits(parts);
    }

    async fn ended(&mut self) -> &'static str {
        tokio::time::timeout(PATIENCE, self.ends.recv()).await.unwrap().unwrap()
    }
}

fn with_streams(mut hello: Value) -> Value {
    hello["capabilities"] = json!(["resume", "answers", "binary", "streams"]);
    hello
}

fn hello() -> Value {
    with_streams(hello_as("alice"))
}

fn opens(id: u64) -> Value {
    json!({ "type": "send", "id": id, "event": "copy", "stream": true })
}

fn part(id: u64, of: u64) -> Value {
    json!({ "type": "send", "id": id, "event": "", "of": of, "payload": id })
}

fn end(id: u64, of: u64) -> Value {
    json!({ "type": "send", "id": id, "event": "", "of": of, "end": true })
}

async fn write(raw: &mut Raw, frames: impl IntoIterator<Item = Value>) {
    for frame in frames {
        raw.write(&frame).await;
    }
}

#[tokio::test]
async fn parts_come_in_order_and_then_the_end() {
    let mut bench = bench();
    let server = bench.served().await;
    let (mut raw, ready) = Raw::ready(&server, &hello()).await;
    assert_eq!(ready["limits"]["stream_messages"], 4);
    assert_eq!(ready["limits"]["stream_bytes"], 100);
    write(&mut raw, [opens(1), part(2, 1), part(3, 1), end(4, 1)]).await;
    bench.lets_read(3);
    for (offset, payload, end) in [(1, 2, false), (2, 3, false), (3, 2, true)] {
        let message = raw.message(offset).await;
        assert_eq!((&message["payload"], &message["re"]), (&json!(payload), &json!(1)));
        assert_eq!(message["end"] == true, end);
    }
    assert_eq!(bench.ended().await, "ended");
}

#[tokio::test]
async fn a_handler_that_does_not_read_holds_up_nothing_else() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1), part(2, 1), part(3, 1), part(4, 1), part(5, 1)]).await;
    raw.acked(5).await;
    raw.echoes(6).await;
    bench.lets_read(2);
    // Half of the window.
    assert_eq!(raw.until("read").await, json!({ "type": "read", "re": 1, "id": 3 }));
    write(&mut raw, [part(7, 1), part(8, 1)]).await;
    raw.acked(8).await;
    write(&mut raw, [part(9, 1)]).await;
    assert_eq!(raw.ended().await.by(), (4400, "stream.window"));
}

#[tokio::test]
async fn a_part_that_is_read_alone_is_told_in_time() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1), part(2, 1)]).await;
    bench.lets_read(1);
    assert_eq!(raw.until("read").await, json!({ "type": "read", "re": 1, "id": 2 }));
}

#[tokio::test]
async fn parts_of_what_is_over_are_refused_and_the_connection_goes_on() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    let over = async |raw: &mut Raw, id: u64| {
        let nack = raw.until("nack").await;
        assert_eq!((&nack["id"], &nack["code"]), (&json!(id), &json!("stream_over")), "{nack}");
        assert_ne!(nack["retry"], true);
    };
    // There never was one, nor does a send without `stream` open any.
    write(&mut raw, [part(5, 3)]).await;
    over(&mut raw, 5).await;
    raw.echoes(6).await;
    write(&mut raw, [part(7, 6)]).await;
    over(&mut raw, 7).await;
    // Refused.
    write(&mut raw, [json!({ "type": "send", "id": 8, "event": "nothing", "stream": true }), part(9, 8)]).await;
    assert_eq!(raw.until("nack").await["code"], "unknown_event");
    over(&mut raw, 9).await;
    // Behind its end.
    write(&mut raw, [opens(10), end(11, 10), part(12, 10), end(13, 10)]).await;
    over(&mut raw, 12).await;
    over(&mut raw, 13).await;
    // Its handler has ended.
    write(&mut raw, [opens(20), json!({ "type": "send", "id": 21, "event": "", "of": 20, "payload": "stop" })]).await;
    bench.lets_read(2);
    let (mut ended, mut offset) = (0, 2);
    while ended < 2 {
        ended += u64::from(raw.message(offset).await["end"] == true);
        offset += 1;
    }
    write(&mut raw, [part(22, 20)]).await;
    over(&mut raw, 22).await;
    // Cancelled.
    write(&mut raw, [opens(30), part(31, 30)]).await;
    raw.acked(31).await;
    write(&mut raw, [json!({ "type": "cancel", "re": 30 }), part(32, 30)]).await;
    over(&mut raw, 32).await;
}

#[tokio::test]
async fn a_stop_breaks_the_stream_off() {
    let mut bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1), part(2, 1)]).await;
    bench.lets_read(2);
    assert_eq!(raw.message(1).await["payload"], 2);
    write(&mut raw, [json!({ "type": "cancel", "re": 1 })]).await;
    assert_eq!(bench.ended().await, "broke off");
    assert_eq!(raw.message(2).await["error"]["code"], "cancelled");
}

#[tokio::test]
async fn the_end_of_the_session_breaks_its_streams_off_and_leaves_nothing() {
    let mut bench = bench();
    let log = MemoryLog::new();
    let server = served(Parts { log: log.clone(), ..bench.parts() }).await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1), part(2, 1)]).await;
    raw.acked(2).await;
    write(&mut raw, [json!({ "type": "bye", "code": 1000 })]).await;
    bench.lets_read(2);
    assert_eq!(bench.ended().await, "broke off");
    assert_eq!(log.list("stream/").await.unwrap(), []);
}

#[tokio::test]
async fn one_stream_too_many_is_refused_and_the_others_go_on() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1), opens(2), opens(3), part(4, 1)]).await;
    let nack = raw.until("nack").await;
    assert_eq!((&nack["id"], &nack["code"], &nack["retry"]), (&json!(3), &json!("too_many_streams"), &json!(true)));
    raw.acked(4).await;
    // One that ends makes room.
    write(&mut raw, [json!({ "type": "cancel", "re": 2 })]).await;
    write(&mut raw, [opens(5), part(6, 5)]).await;
    raw.acked(6).await;
}

#[tokio::test]
async fn what_was_read_is_told_again_after_a_resume() {
    let bench = bench();
    let server = bench.served().await;
    let (mut former, ready) = Raw::ready(&server, &hello()).await;
    write(&mut former, [opens(1), opens(2), part(3, 1), part(4, 1), part(5, 1), part(6, 1)]).await;
    // Both handlers wait, and the first asked first.
    bench.lets_read(2);
    former.message(1).await;
    former.until("read").await;
    drop(former);
    let (mut raw, again) = Raw::ready(&server, &with_streams(resuming("alice", &ready, 1, 0))).await;
    assert_eq!(again["received"], 6);
    let read = raw.until("read").await;
    assert_eq!(read["re"], 1, "of a stream of which nothing was read nothing is told");
    let read = read["id"].as_u64().unwrap();
    assert!((3..6).contains(&read), "{read}");
    // What was taken comes no second time, and takes no second place.
    write(&mut raw, [part(5, 1), part(6, 1), part(7, 1)]).await;
    raw.acked(7).await;
}

#[tokio::test]
async fn a_key_that_was_taken_before_opens_no_stream() {
    let bench = bench();
    let log = MemoryLog::new();
    let server = served(Parts { log: log.clone(), ..bench.parts() }).await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [json!({ "type": "send", "id": 1, "event": "echo", "key": "k" })]).await;
    raw.acked(1).await;
    let keyed = json!({ "type": "send", "id": 2, "event": "copy", "key": "k", "stream": true });
    write(&mut raw, [keyed, part(3, 2)]).await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let frame = raw.frame().await;
        match frame["type"].as_str() {
            Some("message") => seen.push(frame["error"]["code"].clone()),
            Some("nack") => seen.push(frame["code"].clone()),
            _ => {}
        }
    }
    seen.sort_by_key(Value::to_string);
    assert_eq!(seen, ["duplicate_key", "stream_over"]);
    assert_eq!(log.list("stream/").await.unwrap(), []);
}

#[tokio::test]
async fn parts_of_bytes_stay_bytes() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, _) = Raw::ready(&server, &hello()).await;
    write(&mut raw, [opens(1)]).await;
    let frame = br#"{"type":"send","id":2,"event":"","of":1}"#;
    let message = [&(frame.len() as u32).to_be_bytes()[..], frame, b"\xff\0\xff"].concat();
    futures::SinkExt::send(&mut raw.0, message.into()).await.unwrap();
    bench.lets_read(1);
    assert_eq!(raw.envelope().await.1, b"\xff\0\xff");
}

#[tokio::test]
async fn without_the_level_the_fields_are_nothing() {
    let bench = bench();
    let server = bench.served().await;
    let (mut raw, ready) = Raw::ready(&server, &hello_as("alice")).await;
    assert_eq!(ready["limits"]["stream_messages"], Value::Null);
    // An event of no name is no part of anything.
    write(&mut raw, [json!({ "type": "send", "id": 1, "event": "echo", "stream": true }), part(2, 1)]).await;
    assert_eq!(raw.until("nack").await["code"], "unknown_event");
}

#[tokio::test]
async fn a_stream_goes_on_at_the_other_server_and_its_handler_stays_where_it_is() {
    let (mut bench, log) = (bench(), MemoryLog::new() as Arc<dyn Log>);
    let one = served(Parts { log: log.clone(), ..bench.parts() }).await;
    // As another process: it has the log, and nothing of the handler.
    let elsewhere = Application::new().with("echo", Echo);
    let other = served(Parts { config: config(), log: log.clone(), ..with_handlers(elsewhere) }).await;
    let (mut former, ready) = Raw::ready(&one, &hello()).await;
    write(&mut former, [opens(1), part(2, 1), part(3, 1)]).await;
    bench.lets_read(1);
    assert_eq!(former.message(1).await["payload"], 2);
    former.acked(3).await;

    let (mut raw, again) = Raw::ready(&other, &with_streams(resuming("alice", &ready, 1, 1))).await;
    assert_eq!((&again["session"]["resumed"], &again["received"]), (&json!(true), &json!(3)));
    assert_eq!(former.ended().await.code, 4013);
    write(&mut raw, [part(3, 1), part(4, 1), part(5, 1), part(6, 1)]).await;
    raw.acked(6).await;
    bench.lets_read(4);
    let (mut copied, mut read) = (Vec::new(), 0);
    while copied.len() < 4 || read < 6 {
        let frame = raw.frame().await;
        match frame["type"].as_str() {
            Some("message") => copied.push(frame["payload"].clone()),
            Some("read") => read = frame["id"].as_u64().unwrap(),
            _ => assert_ne!(frame["type"], "bye", "{frame}"),
        }
    }
    assert_eq!(copied, [3, 4, 5, 6], "each once, in order");
    write(&mut raw, [part(7, 1), end(8, 1)]).await;
    bench.lets_read(2);
    assert_eq!(raw.message(6).await["payload"], 7);
    assert_eq!(raw.message(7).await["end"], true);
    assert_eq!(bench.ended().await, "ended");
    write(&mut raw, [part(9, 1)]).await;
    assert_eq!(raw.until("nack").await["code"], "stream_over");
    assert_eq!(log.list("stream/").await.unwrap(), []);
}

#[tokio::test]
async fn a_stop_at_the_other_server_breaks_the_stream_off() {
    let (mut bench, log) = (bench(), MemoryLog::new() as Arc<dyn Log>);
    let one = served(Parts { log: log.clone(), ..bench.parts() }).await;
    let other = served(Parts { log, ..parts() }).await;
    let (mut former, ready) = Raw::ready(&one, &hello()).await;
    write(&mut former, [opens(1), part(2, 1)]).await;
    former.acked(2).await;
    let (mut raw, _) = Raw::ready(&other, &with_streams(resuming("alice", &ready, 1, 0))).await;
    write(&mut raw, [json!({ "type": "cancel", "re": 1 }), part(3, 1)]).await;
    assert_eq!(raw.until("nack").await["code"], "stream_over");
    bench.lets_read(5);
    assert_eq!(bench.ended().await, "broke off");
}
