//! Text that a peer wrote, as a reader may see it. Markup is escaped where it is written; this is about the rest.

use maud::{Markup, html};

/// Without characters that are not seen, or that change how others are: those of control, and of direction.
pub(super) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            control @ '\0'..='\u{1f}' => shown.extend(char::from_u32(0x2400 + u32::from(control))),
            '\u{7f}' => shown.push('\u{2421}'),
            '\u{80}'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(character))),
            other => shown.push(other),
        }
    }
    shown
}

/// The words of a rule or a case, in which backticks mark what is code.
pub(super) fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in visible(text).split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// The beginning of a text, if it is longer.
pub(super) fn shortened(text: &str, characters: usize) -> Option<String> {
    let (end, _) = text.char_indices().nth(characters)?;
    Some(format!("{}…", &text[..end]))
}

/// The end of a text, if it is longer: what is wrong with a frame stands behind it.
pub(super) fn ending(text: &str, characters: usize) -> Option<String> {
    let left_out = text.chars().count().checked_sub(characters).filter(|count| *count > 0)?;
    Some(format!("…{}", text.chars().skip(left_out).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_seen_is_shown() {
        assert_eq!(visible("a\0\n\u{1b}[31m\u{7f}"), "a␀␊␛[31m␡");
        assert_eq!(visible("\u{202e}drow\u{9b}"), "⟨U+202E⟩drow⟨U+009B⟩");
        assert_eq!(visible("né \"<b>\""), "né \"<b>\"");
    }

    #[test]
    fn backticks_mark_code() {
        assert_eq!(prose("offers `<b>` first").into_string(), "offers <code>&lt;b&gt;</code> first");
    }

    #[test]
    fn only_long_texts_are_shortened() {
        assert_eq!(shortened("äöü", 3), None);
        assert_eq!(shortened("äöü", 2).as_deref(), Some("äö…"));
        assert_eq!(ending("äöü", 3), None);
        assert_eq!(ending("äöü", 2).as_deref(), Some("…öü"));
    }
}
