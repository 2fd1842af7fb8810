//! How much of the frames a page shows, so that a browser opens it at once and a mail carries it.

use super::case::is_problem;
use super::visible::shortened;
use crate::log::Line;
use crate::report::run::{Run, Tried};
use std::ops::Range;

/// Bytes of a page that problems, and frames, may take.
const BYTES: usize = 1_500_000;
/// Bytes of a problem without its frames.
const PROBLEM: usize = 1500;
/// Bytes of the markup around a frame.
const MARKUP: usize = 200;
/// Characters of a frame that are shown without asking.
pub(super) const SHORT: usize = 120;

/// What is shown of each case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// The frames of passing cases are shown, too.
    pub(super) passing: bool,
    /// Lines from the beginning of a case.
    first: usize,
    /// Lines from its end.
    last: usize,
    /// Characters of a frame, when somebody asks for all of it.
    pub(super) characters: usize,
}

/// From all there is to nothing.
const ROOMS: [Room; 5] = [
    Room { passing: true, first: 12, last: 30, characters: 2100 },
    Room { passing: false, first: 12, last: 30, characters: 2100 },
    Room { passing: false, first: 6, last: 12, characters: 500 },
    Room { passing: false, first: 2, last: 4, characters: 200 },
    Room { passing: false, first: 0, last: 0, characters: 0 },
];

impl Room {
    pub(super) fn of(runs: &[Run]) -> Self {
        let fits = ROOMS.into_iter().find(|room| runs.iter().map(|run| room.bytes(run)).sum::<usize>() <= BYTES);
        fits.unwrap_or(ROOMS[ROOMS.len() - 1])
    }

    /// The lines in the middle that are left out.
    pub(super) fn left_out(&self, lines: usize) -> Range<usize> {
        self.first..self.first.max(lines.saturating_sub(self.last))
    }

    /// About what a run takes.
    fn bytes(&self, run: &Run) -> usize {
        let shown = run.cases.iter().filter(|case| self.passing || is_problem(case));
        shown.map(|case| self.bytes_of(case) + if is_problem(case) { PROBLEM } else { 0 }).sum()
    }

    fn bytes_of(&self, case: &Tried) -> usize {
        let Some(played) = &case.played else { return 0 };
        let left_out = self.left_out(played.lines.len());
        let shown = played.lines.iter().enumerate().filter(|(index, _)| !left_out.contains(index));
        shown.map(|(_, line)| MARKUP + self.bytes_of_text(line)).sum()
    }

    fn bytes_of_text(&self, line: &Line) -> usize {
        // A quotation mark, of which frames are full, takes six bytes.
        let escaped = |text: &str| text.len() + 5 * text.matches('"').count();
        match shortened(&line.text, SHORT) {
            None => escaped(&line.text),
            Some(short) => escaped(&short) + escaped(&line.text).min(self.characters),
        }
    }
}
