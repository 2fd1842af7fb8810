use super::pace::{SLOWEST, pause};
use super::search::{Search, tokenise};
use crate::application::{Answer, Failure, Handler, Request, Unanswered, payload};
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// How many paragraphs it quotes.
const QUOTES: usize = 3;
/// Its only tool.
const TOOL: &str = "search_documentation";
/// The longest that it waits for a permission.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it asks, and after which pause, while whoever would have answered is gone.
const ASKED_AT_MOST: usize = 8;
const BEFORE_ASKING_ANEW: Duration = Duration::from_millis(250);

/// Works on a prompt in steps and streams them: splits it into words, searches the bundled documentation, if need be not
/// without a permission, and quotes what it found. A stop on request takes effect between two steps.
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
    /// Whether it asks before it uses its tool, and how long it waits for the answer.
    ask_ms: Option<u64>,
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
            if let Some(patience) = run.ask_ms.map(Duration::from_millis) {
                let permitted = may_search(request, answer, &words, patience.min(PATIENCE)).await?;
                let decided = if permitted { "tool_permitted" } else { "tool_refused" };
                answer.send(decided, &json!({ "tool": TOOL })).await?;
                if !permitted {
                    let text = "Nothing was searched, since you did not want it.";
                    return answer.end("agent_completed", &json!({ "text": text, "quotes": [] })).await;
                }
                pause(answer, pace).await?;
            }
            answer.send("tool_executing", &json!({ "tool": TOOL, "words": words })).await?;
            let found = self.search.find(&words, QUOTES);
            pause(answer, pace).await?;
            let pages: Vec<_> = found.iter().map(|passage| passage.page).collect();
            answer.send("tool_completed", &json!({ "tool": TOOL, "found": pages })).await?;

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

/// Asks whoever sent this, for so long in all.
async fn may_search(request: Request, answer: &Answer, words: &[String], patience: Duration) -> Result<bool, Failure> {
    let until = Instant::now() + patience;
    for _ in 0..ASKED_AT_MOST {
        let left = until.saturating_duration_since(Instant::now());
        let within_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let question = payload(&json!({ "tool": TOOL, "words": words, "within_ms": within_ms }))?;
        match request.ask("agent.may", &question, left).await {
            // A page that was loaded again knows nothing of what the former one was asked; but it can be asked, too.
            Err(Unanswered::Refused { code, .. }) if code == "unhandled" => pause(answer, BEFORE_ASKING_ANEW).await?,
            answered => return Ok(answered?.text() == Some("true")),
        }
    }
    Err(Failure::new("unanswered", "nobody there answers questions"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handlers::recorder::Recorder;
    use readywire_protocol::json::Payload;

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

    fn unhandled() -> Unanswered {
        Unanswered::Refused { code: "unhandled".to_owned(), message: String::new() }
    }

    async fn asking(answers: Vec<Result<Payload, Unanswered>>) -> Recorder {
        let recorder = Recorder::answering(answers);
        recorder.run(Agent::default(), "agent.run", r#"{"prompt": "readiness", "ask_ms": 60000}"#).await;
        recorder
    }

    fn error(recorder: &Recorder) -> String {
        recorder.parts().pop().unwrap().error.map_or_else(String::new, |error| error.code)
    }

    #[tokio::test(start_paused = true)]
    async fn it_searches_only_if_it_may() {
        let recorder = asking(vec![Ok(Payload::parse("true").unwrap())]).await;
        let asked = &recorder.asked()[0];
        assert_eq!((asked.0.as_str(), asked.1.as_str()), ("alice", "agent.may"));
        assert_eq!(asked.2, r#"{"tool":"search_documentation","within_ms":60000,"words":["readiness"]}"#);
        let permitted = ["tool_permitted", "tool_executing", "tool_completed", "agent_completed"];
        assert_eq!(events(&recorder)[2..], permitted);

        for other in ["false", "null", r#""true""#] {
            let recorder = asking(vec![Ok(Payload::parse(other).unwrap())]).await;
            assert_eq!(events(&recorder)[2..], ["tool_refused", "agent_completed"], "{other}");
            assert_eq!(error(&recorder), "");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_there_after_a_reload_is_asked_for_what_is_left_of_the_time() {
        let recorder = asking(vec![Err(unhandled()), Ok(Payload::parse("true").unwrap())]).await;
        assert_eq!(events(&recorder).last().unwrap(), "agent_completed");
        let asked = recorder.asked();
        assert_eq!(asked.len(), 2);
        assert!(asked[1].2.contains(r#""within_ms":59750"#), "{}", asked[1].2);
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_by_itself_if_nobody_answers() {
        let recorder = asking(vec![Err(Unanswered::Deadline)]).await;
        assert_eq!(error(&recorder), "unanswered");
        let recorder = asking(vec![Err(unhandled()); ASKED_AT_MOST + 1]).await;
        assert_eq!(recorder.asked().len(), ASKED_AT_MOST);
        assert_eq!(error(&recorder), "unanswered");
    }
}
