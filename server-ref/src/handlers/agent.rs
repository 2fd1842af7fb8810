use super::search::{Search, tokenise};
use crate::application::{Answer, Failure, Handler, Request};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// The longest pause between two steps.
const SLOWEST: Duration = Duration::from_secs(1);
/// How many paragraphs it quotes.
const QUOTES: usize = 3;

/// Works on a prompt in steps and streams them: splits it into words, searches the bundled documentation, quotes what
/// it found. A stop on request takes effect between two steps.
#[derive(Clone, Debug)]
pub struct Agent {
    search: Search,
    pace: Duration,
}

impl Default for Agent {
    fn default() -> Self {
        Self { search: Search::default(), pace: Duration::from_millis(25) }
    }
}

#[derive(Deserialize)]
struct Run {
    prompt: String,
    /// The pause between two steps, so that a person can follow them.
    pace_ms: Option<u64>,
}

impl Handler for Agent {
    fn requires(&self) -> &[&str] {
        &["search"]
    }

    fn handle<'a>(&'a self, request: Request, answer: &'a mut Answer) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let run: Run = request.read()?;
            let pace = run.pace_ms.map_or(self.pace, Duration::from_millis).min(SLOWEST);
            answer.send("agent_started", &json!({ "prompt": run.prompt })).await?;

            let mut words = Vec::new();
            for (index, part) in run.prompt.split_whitespace().enumerate() {
                pause(answer, pace).await?;
                let here = tokenise(part);
                answer.send("agent_thinking", &json!({ "step": index + 1, "read": part, "words": here })).await?;
                words.extend(here);
            }

            pause(answer, pace).await?;
            answer.send("tool_executing", &json!({ "tool": "search_documentation", "words": words })).await?;
            let found = self.search.find(&words, QUOTES);
            pause(answer, pace).await?;
            let pages: Vec<_> = found.iter().map(|passage| passage.page).collect();
            answer.send("tool_completed", &json!({ "tool": "search_documentation", "found": pages })).await?;

            pause(answer, pace).await?;
            let quotes: Vec<_> =
                found.iter().map(|passage| json!({ "page": passage.page, "quote": passage.text })).collect();
            let text = match found.first() {
                Some(best) => format!("From “{}”: {}", best.page, best.text),
                None => "The documentation says nothing about this.".to_owned(),
            };
            answer.end("agent_completed", &json!({ "text": text, "quotes": quotes })).await
        }
        .boxed()
    }
}

async fn pause(answer: &Answer, pace: Duration) -> Result<(), Failure> {
    tokio::select! {
        biased;
        () = answer.cancellation().cancelled() => Err(Failure::cancelled()),
        () = tokio::time::sleep(pace) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::recorder::Recorder;

    fn events(recorder: &Recorder) -> Vec<String> {
        recorder.parts().into_iter().map(|part| part.event).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn it_streams_its_steps_and_quotes_what_it_found() {
        let recorder = Recorder::default();
        recorder.run(Agent::default(), "agent.run", r#"{"prompt": "what is PROCESSING_READY"}"#).await;
        let expected = [
            "agent_started",
            "agent_thinking",
            "agent_thinking",
            "agent_thinking",
            "tool_executing",
            "tool_completed",
            "agent_completed",
        ];
        assert_eq!(events(&recorder), expected);
        let last = recorder.parts().pop().unwrap();
        assert!(last.end && last.error.is_none());
        assert!(last.payload.text().unwrap().contains("PROCESSING_READY"), "{:?}", last.payload);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_takes_effect_between_two_steps() {
        let recorder = Recorder::cancelling_after(2);
        recorder.run(Agent::default(), "agent.run", r#"{"prompt": "one two three"}"#).await;
        assert_eq!(events(&recorder), ["agent_started", "agent_thinking", ""]);
        let last = recorder.parts().pop().unwrap();
        assert!(last.end);
        assert_eq!(last.error.unwrap().code, "cancelled");
    }
}
