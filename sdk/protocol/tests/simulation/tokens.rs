//! Tokens that end, and fresh ones that come before: `good alice attempt 17 until 12345`.

use crate::cluster::Cluster;
use crate::coverage::Sight;
use crate::peer::Peer;
use crate::scene::Scene;
use crate::watch::Watch;
use readywire_protocol::frame::{AnswerError, Auth};
use readywire_protocol::time::{Duration, Instant};

/// For which question of the client a token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    Attempt(u64),
    Refresh(u64),
}

/// What a token says.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) good: bool,
    pub(crate) subject: String,
    pub(crate) question: Question,
    /// `None`: it never ends.
    pub(crate) ends: Option<Instant>,
}

impl Token {
    pub(crate) fn write(&self) -> Auth {
        let (kind, number) = match self.question {
            Question::Attempt(number) => ("attempt", number),
            Question::Refresh(number) => ("refresh", number),
        };
        let good = if self.good { "good" } else { "bad" };
        let ends = self.ends.map_or(0, |ends| ends.since_origin().as_millis());
        Auth { scheme: "bearer".to_owned(), token: format!("{good} {} {kind} {number} until {ends}", self.subject) }
    }

    pub(crate) fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.split(' ').collect();
        let [good, subject, kind, number, _, ends] = words[..] else { return None };
        let number = number.parse().ok()?;
        let ends: u64 = ends.parse().ok()?;
        Some(Self {
            good: good == "good",
            subject: subject.to_owned(),
            question: if kind == "attempt" { Question::Attempt(number) } else { Question::Refresh(number) },
            ends: (ends > 0).then(|| Instant::from_origin(Duration::from_millis(ends))),
        })
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        self.ends.is_some_and(|ends| ends <= now)
    }

    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.ends.map(|ends| ends.saturating_since(now))
    }
}

impl Cluster {
    /// A fresh token came over a living connection.
    pub(crate) fn fresh_token(scene: &mut Scene, peer: &mut Peer, auth: &Auth) {
        let Some(token) = Token::read(&auth.token) else { return };
        let same = peer.token.as_ref().is_some_and(|known| known.subject == token.subject);
        let refused = if !token.good || token.is_over(scene.now) {
            Some(("invalid", true))
        } else if !same {
            Some(("subject_changed", false))
        } else {
            None
        };
        if let Some((code, retry)) = refused {
            scene.watch.saw(Sight::RefreshRefused);
            return peer.core.token_refused(AnswerError { code: code.to_owned(), message: String::new() }, retry);
        }
        scene.watch.saw(Sight::Refreshed);
        peer.core.token_accepted(scene.now, token.left(scene.now));
        peer.token = Some(token);
    }
}

impl Watch {
    /// A hello was read on the connection of this attempt.
    pub(crate) fn presented(&mut self, number: u64, token: &str) {
        let question = Token::read(token).map(|token| token.question);
        self.require(
            question == Some(Question::Attempt(number)),
            "a token is never taken from an earlier attempt",
            || format!("attempt {number}: {token}"),
        );
    }

    /// The client brings a fresh token.
    pub(crate) fn refreshes(&mut self, token: &str) {
        let (now, asked) = (self.now, self.refreshes_asked);
        let token = Token::read(token);
        let latest = token.as_ref().map(|token| token.question) == Some(Question::Refresh(asked));
        self.require(latest, "a refresh brings the token that was asked for last", || {
            format!("{token:?}, asked {asked}")
        });
        let lives = token.as_ref().is_some_and(|token| !token.is_over(now));
        self.require(lives, "no token is used behind its end once another was asked for", || format!("{token:?}"));
    }

    /// The servers look at a send that came with this token.
    pub(crate) fn decides_by(&mut self, token: Option<&Token>) {
        let now = self.now;
        let over = token.and_then(|token| token.ends).is_some_and(|ends| ends < now);
        self.require(!over, "nothing is decided behind the end of a token", || format!("{token:?}"));
    }
}
