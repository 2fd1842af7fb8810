//! What a log promises, whatever keeps it.

use readywire_protocol::config::Window;
use readywire_server::log::{Append, Batch, Entry, Holds, Log, LogError, Place, Record, Retention};
use std::sync::Arc;
use std::time::Duration;

/// Runs the whole contract against an engine, given a function that makes an empty one.
macro_rules! holds {
    ($engine:ident) => {
        mod $engine {
            crate::contract::each!($engine: offsets_begin_at_one_and_have_no_gaps, an_append_without_records_makes_the_log,
                reading_keeps_to_its_room, one_record_always_fits, bytes_come_back_as_they_were,
                a_trim_drops_what_is_before_it_and_tells, a_trim_above_the_head_leaves_the_head,
                a_key_is_appended_once, a_key_is_forgotten_with_its_record, a_lower_fence_is_refused,
                a_fence_is_seen_by_who_watches, a_head_that_moved_is_refused, one_of_two_racing_binds_wins,
                several_logs_in_one_step_or_none, what_is_not_there_is_not_made_unasked,
                a_full_log_refuses_until_it_is_trimmed, the_latest_are_kept_by_count, the_latest_are_kept_by_bytes,
                the_latest_are_kept_by_age, a_watcher_sees_the_latest_head, a_watcher_sees_a_trim, a_removed_log_lets_its_watchers_go,
                a_log_made_again_has_another_epoch, a_log_ends_when_nobody_keeps_it, a_log_that_is_kept_again_stays,
                logs_are_listed_by_prefix, many_writers_lose_nothing);
        }
    };
}

macro_rules! each {
    ($engine:ident: $($test:ident),+) => {
        use crate::contract;
        $(#[tokio::test]
        async fn $test() {
            contract::$test(super::$engine().await).await;
        })+
    };
}

pub(crate) use {each, holds};

type Engine = Arc<dyn Log>;

/// Ends a test that would wait for ever.
const FOR_EVER: Duration = Duration::from_secs(20);
const ALL: Window = Window { messages: u64::MAX, bytes: u64::MAX };

fn record(text: &str) -> Record {
    Record::new(text.to_owned())
}

fn records(texts: &[&str]) -> Vec<Record> {
    texts.iter().map(|text| record(text)).collect()
}

async fn append(log: &Engine, append: Append) -> Result<Vec<Place>, LogError> {
    let mut appended = log.append(vec![append]).await?;
    assert_eq!(appended.len(), 1);
    Ok(appended.remove(0).places)
}

async fn write(log: &Engine, name: &str, texts: &[&str]) -> Vec<Place> {
    append(log, Append::to(name, records(texts))).await.expect("it has no condition")
}

async fn read(log: &Engine, name: &str, after: u64) -> Batch {
    log.read(name, after, ALL).await.expect("the log is there")
}

fn texts(batch: &Batch) -> Vec<(u64, &str)> {
    batch.entries.iter().map(|entry| (entry.offset, std::str::from_utf8(&entry.record.data).unwrap())).collect()
}

pub(crate) async fn offsets_begin_at_one_and_have_no_gaps(log: Engine) {
    assert_eq!(write(&log, "a", &["x", "y"]).await, [Place::New(1), Place::New(2)]);
    assert_eq!(write(&log, "b", &["z"]).await, [Place::New(1)]);
    assert_eq!(write(&log, "a", &["z"]).await, [Place::New(3)]);
    let batch = read(&log, "a", 0).await;
    assert_eq!(texts(&batch), [(1, "x"), (2, "y"), (3, "z")]);
    assert_eq!((batch.first, batch.head), (1, 3));
    assert!(!batch.is_trimmed_after(0));
    assert_eq!(texts(&read(&log, "a", 2).await), [(3, "z")]);
    for above in [3, 4, u64::MAX] {
        assert_eq!(texts(&read(&log, "a", above).await), []);
    }
}

pub(crate) async fn an_append_without_records_makes_the_log(log: Engine) {
    let made = log.append(vec![Append::to("a", Vec::new())]).await.unwrap().remove(0);
    assert_eq!((made.head, made.places.len()), (0, 0));
    let batch = read(&log, "a", 0).await;
    assert_eq!((batch.epoch, batch.first, batch.head), (made.epoch, 1, 0));
    write(&log, "a", &["x"]).await;
    let again = log.append(vec![Append::to("a", Vec::new())]).await.unwrap().remove(0);
    assert_eq!((again.head, again.epoch), (1, made.epoch));
}

pub(crate) async fn reading_keeps_to_its_room(log: Engine) {
    write(&log, "a", &["12345", "12345", "12345", "12345"]).await;
    let room = |messages, bytes| Window { messages, bytes };
    for (window, count) in [(room(2, 100), 2), (room(100, 10), 2), (room(100, 14), 2), (room(0, 100), 0)] {
        let batch = log.read("a", 1, window).await.unwrap();
        assert_eq!(batch.entries.len(), count, "{window:?}");
        assert_eq!(batch.head, 4);
        assert!(batch.entries.first().is_none_or(|entry| entry.offset == 2));
    }
}

pub(crate) async fn one_record_always_fits(log: Engine) {
    write(&log, "a", &["much too large", "more"]).await;
    let batch = log.read("a", 0, Window { messages: 10, bytes: 1 }).await.unwrap();
    assert_eq!(texts(&batch), [(1, "much too large")]);
    let one = Append::to("b", records(&["much too large"])).holding(Holds::AtMost(Window { messages: 1, bytes: 1 }));
    assert_eq!(append(&log, one).await, Ok(vec![Place::New(1)]));
}

pub(crate) async fn bytes_come_back_as_they_were(log: Engine) {
    let every: Vec<u8> = (0..=255).collect();
    let large = vec![7; 3 << 20];
    let written = vec![Record::new(every), Record::new(large), Record::new(""), Record::keyed("schlüssel\u{0}", "x")];
    append(&log, Append::to("a/ä b", written.clone())).await.unwrap();
    let read: Vec<Record> = read(&log, "a/ä b", 0).await.entries.into_iter().map(|entry| entry.record).collect();
    assert!(read == written);
}

pub(crate) async fn a_trim_drops_what_is_before_it_and_tells(log: Engine) {
    write(&log, "a", &["x", "y", "z"]).await;
    log.trim("a", 2).await.unwrap();
    let batch = read(&log, "a", 0).await;
    assert_eq!(texts(&batch), [(3, "z")]);
    assert_eq!((batch.first, batch.head), (3, 3));
    assert!(batch.is_trimmed_after(0) && batch.is_trimmed_after(1) && !batch.is_trimmed_after(2));
    log.trim("a", 1).await.unwrap();
    assert_eq!(texts(&read(&log, "a", 2).await), [(3, "z")]);
}

pub(crate) async fn a_trim_above_the_head_leaves_the_head(log: Engine) {
    write(&log, "a", &["x", "y"]).await;
    log.trim("a", 99).await.unwrap();
    log.trim("nowhere", 1).await.unwrap();
    let batch = read(&log, "a", 0).await;
    assert_eq!((texts(&batch), batch.first, batch.head), (Vec::new(), 3, 2));
    assert_eq!(write(&log, "a", &["z"]).await, [Place::New(3)]);
}

pub(crate) async fn a_key_is_appended_once(log: Engine) {
    let first = Record::keyed("k", "first");
    let places = append(&log, Append::to("a", vec![first.clone(), record("x")])).await.unwrap();
    assert_eq!(places, [Place::New(1), Place::New(2)]);
    let again = vec![Record::keyed("k", "second"), Record::keyed("l", "third"), Record::keyed("l", "fourth")];
    let places = append(&log, Append::to("a", again)).await.unwrap();
    let known = |offset, record: Record| Place::Known(Entry { offset, record });
    assert_eq!(places, [known(1, first.clone()), Place::New(3), known(3, Record::keyed("l", "third"))]);
    assert_eq!(texts(&read(&log, "a", 0).await), [(1, "first"), (2, "x"), (3, "third")]);
    assert_eq!(log.find("a", "k").await, Ok(Some(Entry { offset: 1, record: first })));
    assert_eq!(log.find("a", "other").await, Ok(None));
    assert_eq!(log.find("nowhere", "k").await, Ok(None));
    // Each log has its own keys.
    assert_eq!(append(&log, Append::to("b", vec![Record::keyed("k", "x")])).await, Ok(vec![Place::New(1)]));
}

pub(crate) async fn a_key_is_forgotten_with_its_record(log: Engine) {
    append(&log, Append::to("a", vec![Record::keyed("k", "first")])).await.unwrap();
    log.trim("a", 1).await.unwrap();
    assert_eq!(log.find("a", "k").await, Ok(None));
    assert_eq!(append(&log, Append::to("a", vec![Record::keyed("k", "x")])).await, Ok(vec![Place::New(2)]));
}

pub(crate) async fn a_lower_fence_is_refused(log: Engine) {
    let under = |fence, text: &str| Append::to("a", records(&[text])).fenced(fence);
    append(&log, under(3, "three")).await.unwrap();
    append(&log, under(3, "three again")).await.unwrap();
    assert_eq!(append(&log, under(2, "two")).await, Err(LogError::Fenced));
    append(&log, under(5, "five")).await.unwrap();
    assert_eq!(append(&log, under(3, "three, late")).await, Err(LogError::Fenced));
    // What needs no fence passes.
    write(&log, "a", &["anybody"]).await;
    let expected = [(1, "three"), (2, "three again"), (3, "five"), (4, "anybody")];
    assert_eq!(texts(&read(&log, "a", 0).await), expected);
    // The fence stays when the records go.
    log.trim("a", 4).await.unwrap();
    assert_eq!(append(&log, under(4, "four")).await, Err(LogError::Fenced));
    // Without a record, too, and nothing moves.
    assert_eq!(append(&log, Append::to("a", Vec::new()).fenced(4)).await, Err(LogError::Fenced));
}

pub(crate) async fn a_fence_is_seen_by_who_watches(log: Engine) {
    append(&log, Append::to("a", records(&["x"])).fenced(1)).await.unwrap();
    let mut heads = log.subscribe("a").await.unwrap();
    assert_eq!(heads.borrow().fence, 1);
    append(&log, Append::to("a", Vec::new()).fenced(2)).await.unwrap();
    let raised = tokio::time::timeout(FOR_EVER, heads.wait_for(|head| head.fence == 2)).await;
    assert_eq!(raised.expect("the fence is told").unwrap().offset, 1);
}

pub(crate) async fn a_head_that_moved_is_refused(log: Engine) {
    let at = |head, text: &str| Append::to("a", records(&[text])).at_head(head);
    assert_eq!(append(&log, at(1, "x")).await, Err(LogError::Moved));
    append(&log, at(0, "x")).await.unwrap();
    assert_eq!(append(&log, at(0, "y")).await, Err(LogError::Moved));
    append(&log, at(1, "z")).await.unwrap();
    assert_eq!(texts(&read(&log, "a", 0).await), [(1, "x"), (2, "z")]);
}

pub(crate) async fn one_of_two_racing_binds_wins(log: Engine) {
    write(&log, "a", &["x"]).await;
    let bind = |owner: &str| Append::to("a", records(&[owner])).fenced(1).at_head(1);
    let (one, two) = tokio::join!(append(&log, bind("one")), append(&log, bind("two")));
    assert_eq!([one.is_ok(), two.is_ok()].iter().filter(|won| **won).count(), 1, "{one:?} {two:?}");
    assert!([one, two].contains(&Err(LogError::Moved)));
}

pub(crate) async fn several_logs_in_one_step_or_none(log: Engine) {
    append(&log, Append::to("b", records(&["x"])).fenced(2)).await.unwrap();
    let batch = |fence| vec![Append::to("a", records(&["y"])), Append::to("b", records(&["z"])).fenced(fence)];
    assert_eq!(log.append(batch(1)).await, Err(LogError::Fenced));
    assert_eq!(log.read("a", 0, ALL).await, Err(LogError::Missing), "nothing of it was done");
    let appended = log.append(batch(2)).await.unwrap();
    assert_eq!(appended.iter().map(|appended| appended.head).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(log.append(Vec::new()).await, Ok(Vec::new()));
}

pub(crate) async fn what_is_not_there_is_not_made_unasked(log: Engine) {
    assert_eq!(append(&log, Append::to("a", records(&["x"])).existing()).await, Err(LogError::Missing));
    assert_eq!(log.read("a", 0, ALL).await, Err(LogError::Missing));
    assert_eq!(log.subscribe("a").await.unwrap_err(), LogError::Missing);
    log.remove(vec!["a".into()]).await.unwrap();
    log.keep(vec!["a".into()], FOR_EVER).await.unwrap();
    assert_eq!(log.list("").await, Ok(Vec::new()));
}

pub(crate) async fn a_full_log_refuses_until_it_is_trimmed(log: Engine) {
    let bounded =
        |texts: &[&str]| Append::to("a", records(texts)).holding(Holds::AtMost(Window { messages: 3, bytes: 10 }));
    append(&log, bounded(&["x", "y"])).await.unwrap();
    assert_eq!(append(&log, bounded(&["z", "one too many"])).await, Err(LogError::Full));
    append(&log, bounded(&["z"])).await.unwrap();
    assert_eq!(append(&log, bounded(&["!"])).await, Err(LogError::Full));
    assert_eq!(read(&log, "a", 0).await.head, 3, "nothing of what was refused is there");
    log.trim("a", 2).await.unwrap();
    assert_eq!(append(&log, bounded(&["over ten bytes"])).await, Err(LogError::Full));
    assert_eq!(append(&log, bounded(&["!"])).await, Ok(vec![Place::New(4)]));
}

async fn retained(log: &Engine, window: Window) -> Batch {
    let holds = Holds::Latest(Retention { window, age: FOR_EVER });
    for texts in [&["one", "two"][..], &["three"], &["four", "five"]] {
        append(log, Append::to("a", records(texts)).holding(holds)).await.unwrap();
    }
    read(log, "a", 1).await
}

pub(crate) async fn the_latest_are_kept_by_count(log: Engine) {
    let batch = retained(&log, Window { messages: 3, bytes: 1000 }).await;
    assert_eq!(texts(&batch), [(3, "three"), (4, "four"), (5, "five")]);
    assert!(batch.is_trimmed_after(1));
}

pub(crate) async fn the_latest_are_kept_by_bytes(log: Engine) {
    let batch = retained(&log, Window { messages: 1000, bytes: 9 }).await;
    assert_eq!(texts(&batch), [(4, "four"), (5, "five")]);
    let large = Append::to("a", records(&["larger than all that is kept"]));
    let holds = Holds::Latest(Retention { window: Window { messages: 9, bytes: 9 }, age: FOR_EVER });
    append(&log, large.holding(holds)).await.unwrap();
    assert_eq!(read(&log, "a", 5).await.entries.len(), 1, "the last stays, however large");
}

pub(crate) async fn the_latest_are_kept_by_age(log: Engine) {
    let holds = Holds::Latest(Retention::of_age(Duration::from_millis(30)));
    append(&log, Append::to("a", vec![Record::keyed("k", "x")]).holding(holds)).await.unwrap();
    // It goes by itself, and its place and the log stay.
    let mut heads = log.subscribe("a").await.unwrap();
    let gone = tokio::time::timeout(FOR_EVER, heads.wait_for(|head| head.first == 2)).await;
    assert_eq!(gone.expect("it is dropped").unwrap().bytes, 0);
    assert_eq!(log.find("a", "k").await, Ok(None));
    let batch = read(&log, "a", 0).await;
    assert_eq!((batch.entries.len(), batch.first, batch.head), (0, 2, 1));
    assert!(batch.is_trimmed_after(0));
}

pub(crate) async fn a_watcher_sees_the_latest_head(log: Engine) {
    write(&log, "a", &["x"]).await;
    let mut heads = log.subscribe("a").await.unwrap();
    assert_eq!(heads.borrow_and_update().offset, 1);
    write(&log, "a", &["y"]).await;
    write(&log, "a", &["z"]).await;
    let seen = tokio::time::timeout(FOR_EVER, heads.wait_for(|head| head.offset == 3)).await;
    assert_eq!(seen.expect("news come").unwrap().epoch, read(&log, "a", 0).await.epoch);
    assert_eq!(log.subscribe("a").await.unwrap().borrow().offset, 3, "a second one, too");
}

pub(crate) async fn a_watcher_sees_a_trim(log: Engine) {
    write(&log, "a", &["x", "four"]).await;
    let mut heads = log.subscribe("a").await.unwrap();
    let head = *heads.borrow_and_update();
    assert_eq!((head.first, head.offset, head.bytes), (1, 2, 5));
    log.trim("a", 1).await.unwrap();
    let seen = tokio::time::timeout(FOR_EVER, heads.wait_for(|head| head.first == 2)).await;
    assert_eq!(seen.expect("news come").unwrap().bytes, 4);
}

pub(crate) async fn a_removed_log_lets_its_watchers_go(log: Engine) {
    write(&log, "a", &["x"]).await;
    let mut heads = log.subscribe("a").await.unwrap();
    heads.borrow_and_update();
    log.remove(vec!["a".into()]).await.unwrap();
    let told = tokio::time::timeout(FOR_EVER, async { while heads.changed().await.is_ok() {} });
    told.await.expect("who watches a log that is removed is told");
    assert_eq!(log.read("a", 0, ALL).await, Err(LogError::Missing));
}

pub(crate) async fn a_log_made_again_has_another_epoch(log: Engine) {
    append(&log, Append::to("a", vec![Record::keyed("k", "x")]).fenced(7)).await.unwrap();
    let former = read(&log, "a", 0).await.epoch;
    log.remove(vec!["a".into(), "b".into()]).await.unwrap();
    assert_eq!(append(&log, Append::to("a", vec![Record::keyed("k", "y")]).fenced(1)).await, Ok(vec![Place::New(1)]));
    let batch = read(&log, "a", 0).await;
    assert_ne!(batch.epoch, former);
    assert_eq!(texts(&batch), [(1, "y")]);
}

pub(crate) async fn a_log_ends_when_nobody_keeps_it(log: Engine) {
    write(&log, "a", &["x"]).await;
    write(&log, "b", &["x"]).await;
    let mut heads = log.subscribe("a").await.unwrap();
    log.keep(vec!["nowhere".into(), "a".into()], Duration::from_millis(30)).await.unwrap();
    let ended = tokio::time::timeout(FOR_EVER, async { while heads.changed().await.is_ok() {} });
    ended.await.expect("it ends by itself");
    assert_eq!(log.list("").await, Ok(vec!["b".into()]));
}

pub(crate) async fn a_log_that_is_kept_again_stays(log: Engine) {
    let both = || vec!["a".into(), "b".into()];
    write(&log, "a", &["x"]).await;
    write(&log, "b", &["x"]).await;
    log.keep(both(), Duration::from_millis(200)).await.unwrap();
    log.keep(vec!["a".into()], Duration::MAX).await.unwrap();
    let mut heads = log.subscribe("b").await.unwrap();
    let ended = tokio::time::timeout(FOR_EVER, async { while heads.changed().await.is_ok() {} });
    ended.await.expect("the other one ends");
    assert_eq!(texts(&read(&log, "a", 0).await), [(1, "x")]);
}

pub(crate) async fn logs_are_listed_by_prefix(log: Engine) {
    for name in ["b/2", "a/1", "b/1", "b", "c/1", "b/1/x"] {
        write(&log, name, &[]).await;
    }
    let listed = |names: &[&str]| Ok(names.iter().map(|name| Arc::from(*name)).collect());
    assert_eq!(log.list("b/").await, listed(&["b/1", "b/1/x", "b/2"]));
    assert_eq!(log.list("d").await, listed(&[]));
    assert_eq!(log.list("").await, listed(&["a/1", "b", "b/1", "b/1/x", "b/2", "c/1"]));
}

pub(crate) async fn many_writers_lose_nothing(log: Engine) {
    let writers: Vec<_> = (0..8)
        .map(|writer| {
            let log = log.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    write(&log, "a", &[&format!("{writer}:{number}")]).await;
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    let batch = read(&log, "a", 0).await;
    assert_eq!(batch.entries.len(), 400);
    for writer in 0..8 {
        let own = texts(&batch).into_iter().filter_map(|(_, text)| text.strip_prefix(&format!("{writer}:")));
        let numbers: Vec<usize> = own.map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, (0..50).collect::<Vec<_>>(), "in the order of its own writes");
    }
}
