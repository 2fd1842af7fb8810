//! The parts of a stream, out of its log, for the handler that reads them; wherever the session is.

use crate::log::{Head, Log, LogError, Name};
use crate::parts::{BrokenOff, Source};
use crate::sessions::{Part, parts};
use futures::FutureExt;
use futures::future::BoxFuture;
use readywire_protocol::config::Window;
use readywire_protocol::json::Payload;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// When a log that does not answer is asked again.
const AGAIN: Duration = Duration::from_secs(1);

pub(crate) struct StreamLog {
    log: Arc<dyn Log>,
    name: Name,
    /// How much is read at once.
    room: Window,
    cancellation: CancellationToken,
    news: Option<watch::Receiver<Head>>,
    /// Read from the log up to here.
    offset: u64,
    fetched: VecDeque<Part>,
    /// Up to where the handler has read.
    read: watch::Sender<u64>,
}

impl StreamLog {
    /// Needs a tokio runtime, on which is trimmed what was read.
    pub(crate) fn new(log: Arc<dyn Log>, name: Name, room: Window, cancellation: CancellationToken) -> Self {
        let read = watch::Sender::new(0);
        let trimmed = (log.clone(), name.clone());
        tokio::spawn(trim(read.subscribe(), move |through| {
            let (log, name) = trimmed.clone();
            async move { log.trim(&name, through).await }
        }));
        Self { log, name, room, cancellation, news: None, offset: 0, fetched: VecDeque::new(), read }
    }

    /// Waits until there are parts that were not fetched.
    async fn fetch(&mut self) -> Result<(), LogError> {
        loop {
            // Watched before it is looked at, so that nothing that comes right after is missed.
            let news = match &mut self.news {
                Some(news) => news,
                None => self.news.insert(self.log.subscribe(&self.name).await?),
            };
            news.borrow_and_update();
            let batch = self.log.read(&self.name, self.offset, self.room).await?;
            if let Some(last) = batch.entries.last() {
                self.offset = last.offset;
                self.fetched.extend(parts(&batch));
                return Ok(());
            }
            news.changed().await.map_err(|_| LogError::Missing)?;
        }
    }
}

impl Source for StreamLog {
    fn next(&mut self) -> BoxFuture<'_, Option<Result<Payload, BrokenOff>>> {
        async {
            let cancellation = self.cancellation.clone();
            loop {
                if cancellation.is_cancelled() {
                    return Some(Err(BrokenOff));
                }
                if let Some(part) = self.fetched.pop_front() {
                    // The end stays in the log, where it says that nothing may follow.
                    let payload = part.payload?;
                    self.read.send_replace(part.offset);
                    return Some(Ok(payload));
                }
                let fetched = tokio::select! {
                    biased;
                    () = cancellation.cancelled() => Err(LogError::Missing),
                    fetched = self.fetch() => fetched,
                };
                if fetched.is_err() {
                    return Some(Err(BrokenOff));
                }
            }
        }
        .boxed()
    }
}

/// Drops what was read, as fast as the log does it: what is read meanwhile goes with the next. A log that does not answer is
/// asked again, or a client whose window is full would wait for ever.
async fn trim<F>(mut read: watch::Receiver<u64>, log: impl Fn(u64) -> F)
where
    F: Future<Output = Result<(), LogError>>,
{
    while read.changed().await.is_ok() {
        let through = *read.borrow_and_update();
        if let Err(LogError::Unavailable(_)) = log(through).await {
            tokio::time::sleep(AGAIN).await;
            // Not for a handler that is over: its log goes as a whole.
            if read.has_changed().is_ok() {
                read.mark_changed();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use tokio::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_log_that_did_not_answer_is_trimmed_though_nothing_more_is_read() {
        let read = watch::Sender::new(0);
        let (done, mut trimmed) = mpsc::unbounded_channel();
        let failures = AtomicU64::new(2);
        let trimming = tokio::spawn(trim(read.subscribe(), move |through| {
            let fails = failures.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
            let told = (!fails).then(|| done.send(through));
            async move { told.map(drop).ok_or_else(|| LogError::Unavailable("it is away".to_owned())) }
        }));
        read.send_replace(3);
        let told = tokio::time::timeout(AGAIN * 10, trimmed.recv()).await;
        assert_eq!(told, Ok(Some(3)), "it is asked until it answers");
        drop(read);
        trimming.await.unwrap();
    }
}
