//! Text out of parts.

/// The parts as one text. `concat` does the same, ready to panic where they are too long for any memory, and would bring
/// that into the browser bundle.
pub(crate) fn joined(parts: &[&str]) -> String {
    let mut text = String::new();
    for part in parts {
        text.push_str(part);
    }
    text
}
