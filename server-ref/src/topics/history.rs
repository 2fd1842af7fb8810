//! What a topic has had before, read out of its log.

use super::{Topics, frame, log_of};
use crate::log::LogError;
use axum::extract::ws::Message;
use readywire_protocol::config::Window;
use readywire_protocol::frame::HistoryRequest;
use readywire_protocol::server::{Gathering, Page};

/// As many bytes are read at once: what is gathered beside them is bounded by the page.
const CHUNK_BYTES: u64 = 256 << 10;

impl Topics {
    /// Reads a page (clause `history.page`). A log is read forwards alone, and its offsets have no gaps: so it begins
    /// `limit` below the end, and what does not fit gives way to what comes behind it.
    pub(crate) async fn page(
        &self,
        asked: &HistoryRequest,
        mut gathered: Gathering<Message>,
    ) -> Result<Page<Message>, LogError> {
        let HistoryRequest { request, topic, limit, before, epoch } = asked;
        let name = log_of(topic);
        let now = self.look(topic, &name, u64::MAX - 1, Window { messages: 1, bytes: 1 }).await?;
        let same = epoch.as_ref().is_none_or(|epoch| *epoch == now.epoch.to_string());
        let end = before.map_or(now.head, |before| now.head.min(before.saturating_sub(1)));
        let mut after = if same { end.saturating_sub(*limit).max(now.first - 1) } else { end };
        let mut oldest = None;
        'log: while after < end {
            let room = Window { messages: end - after, bytes: CHUNK_BYTES };
            let batch = self.log.read(&name, after, room).await?;
            if batch.epoch != now.epoch {
                return Err(LogError::Unavailable("the log began anew meanwhile".to_owned()));
            }
            if batch.entries.is_empty() {
                break;
            }
            for entry in batch.entries {
                after = entry.offset;
                if after > end {
                    break 'log;
                }
                if let Some(shared) = frame(topic, entry.offset, Some(*request), &entry.record.data) {
                    oldest.get_or_insert(entry.offset);
                    gathered.push(shared.message.clone(), shared.payload_bytes, shared.is_binary());
                }
            }
        }
        let more = oldest.is_some_and(|oldest| oldest > now.first);
        Ok(Page { epoch: now.epoch.to_string(), head: now.head, more, gathered })
    }
}
