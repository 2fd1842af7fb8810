//! What this build of the client can do beyond Core, Resume and Answers: everything, unless features are left out so that
//! a page has less to load.
//!
//! A few places ask: those by which a capability is entered. What is only reached through them is then left out by the
//! optimiser. A client without a level does not offer it in its hello, and treats it as clause `frame.level` says.

/// The level Topics.
pub(crate) const TOPICS: bool = cfg!(feature = "topics");
/// The level Refresh.
pub(crate) const REFRESH: bool = cfg!(feature = "refresh");
/// The level Binary.
pub(crate) const BINARY: bool = cfg!(feature = "binary");
/// The level Streams.
pub(crate) const STREAMS: bool = cfg!(feature = "streams");
/// The level Questions.
pub(crate) const QUESTIONS: bool = cfg!(feature = "questions");
/// Sessions that outlive their client (clause `session.stored`).
pub(crate) const CARRY: bool = cfg!(feature = "carry");

/// The levels that the hello lists.
pub(crate) fn levels() -> Vec<String> {
    let mut levels = vec!["resume".to_owned(), "answers".to_owned()];
    for (level, built) in
        [("topics", TOPICS), ("refresh", REFRESH), ("binary", BINARY), ("streams", STREAMS), ("questions", QUESTIONS)]
    {
        if built {
            levels.push(level.to_owned());
        }
    }
    levels
}
