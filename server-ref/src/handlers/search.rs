//! A small search over the bundled documentation.

use std::collections::{BTreeMap, BTreeSet};

const PAGES: &[(&str, &str)] = &[
    ("Readiness", include_str!("../../documentation/readiness.md")),
    ("Delivery", include_str!("../../documentation/delivery.md")),
    ("Sessions", include_str!("../../documentation/sessions.md")),
    ("Closing", include_str!("../../documentation/closing.md")),
];

/// Words that say nothing about what is asked.
const COMMON: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "by", "can", "do", "does", "for", "from", "has", "have", "how", "i",
    "if", "in", "is", "it", "its", "me", "my", "not", "of", "on", "or", "so", "that", "the", "then", "there", "they",
    "this", "to", "was", "what", "when", "where", "which", "who", "why", "will", "with", "you",
];

/// The words of a text that can be searched for, in order, in lower case, without their plural.
pub fn tokenise(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .map(str::to_lowercase)
        .filter(|word| !word.is_empty() && !COMMON.contains(&word.as_str()))
        .map(|word| match word.strip_suffix('s') {
            Some(stem) if stem.len() > 3 && !stem.ends_with('s') => stem.to_owned(),
            _ => word,
        })
        .collect()
}

/// A paragraph that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passage {
    /// The page.
    pub page: &'static str,
    /// The paragraph.
    pub text: &'static str,
}

/// An index of paragraphs.
#[derive(Clone, Debug)]
pub struct Search {
    passages: Vec<(Passage, Vec<String>)>,
    /// In how many paragraphs each word stands.
    spread: BTreeMap<String, usize>,
}

impl Default for Search {
    fn default() -> Self {
        let mut passages = Vec::new();
        let mut spread = BTreeMap::new();
        for (page, text) in PAGES {
            for paragraph in text.split("\n\n").map(str::trim).filter(|text| !text.is_empty() && !text.starts_with('#'))
            {
                let words = tokenise(paragraph);
                for word in words.iter().collect::<BTreeSet<_>>() {
                    *spread.entry(word.clone()).or_default() += 1;
                }
                passages.push((Passage { page, text: paragraph }, words));
            }
        }
        Self { passages, spread }
    }
}

impl Search {
    /// The `count` paragraphs that fit best; rare words weigh more than common ones.
    pub fn find(&self, words: &[String], count: usize) -> Vec<Passage> {
        let asked: BTreeSet<_> = words.iter().collect();
        let mut found: Vec<(f64, &Passage)> = Vec::new();
        for (passage, holds) in &self.passages {
            let score: f64 = asked
                .iter()
                .map(|word| {
                    let times = holds.iter().filter(|held| held == word).count() as f64;
                    let spread = self.spread.get(*word).copied().unwrap_or(1) as f64;
                    // Every further mention counts for less, and so does length.
                    times / (times + 1.0 + holds.len() as f64 / 80.0) * (1.0 + self.passages.len() as f64 / spread).ln()
                })
                .sum();
            if score > 0.0 {
                found.push((score, passage));
            }
        }
        found.sort_by(|left, right| right.0.total_cmp(&left.0));
        found.into_iter().take(count).map(|(_, passage)| passage.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_can_be_searched_for() {
        assert_eq!(tokenise("Why are the queued messages lost?"), ["queued", "message", "lost"]);
        assert_eq!(tokenise("…, —"), Vec::<String>::new());
    }

    #[test]
    fn what_is_asked_is_found() {
        let search = Search::default();
        let first = |question: &str| search.find(&tokenise(question), 3).first().map(|passage| passage.page);
        assert_eq!(first("What does PROCESSING_READY mean?"), Some("Readiness"));
        assert_eq!(first("Which close code stands for an expired token?"), Some("Closing"));
        assert_eq!(first("how does a client resume its session after a cut"), Some("Sessions"));
        assert_eq!(first("is a message acknowledged twice"), Some("Delivery"));
        assert_eq!(first("zebra"), None);
    }
}
