//! Text from outside in messages: one line, bounded, and nothing that steers a terminal.

use std::fmt::Display;

/// Longest text that a message repeats, in characters.
pub const SHOWN_CHARS_MAX: usize = 400;

/// What `found` says, fit for a message. Decoders quote what they stumble
/// over, so whoever writes the input writes a part of the message: characters
/// that would move the cursor or hide other text are written as escapes, and
/// what is too long is cut.
#[must_use]
pub fn shown(found: &dyn Display) -> String {
    let mut out = String::new();
    for (count, c) in found.to_string().chars().enumerate() {
        match (count < SHOWN_CHARS_MAX, steers(c)) {
            (false, _) => {
                out.push('…');
                break;
            }
            (true, true) => out.extend(c.escape_default()),
            (true, false) => out.push(c),
        }
    }
    out
}

/// Whether a terminal acts on the character instead of showing it: controls,
/// and the marks of Unicode that have no width or turn the direction.
pub(crate) fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_steer_a_terminal_is_written_out_and_what_is_long_is_cut() {
        assert_eq!(shown(&"grün \"a\""), "grün \"a\"");
        assert_eq!(shown(&"a\u{1b}[2J\r\n\u{202e}b"), "a\\u{1b}[2J\\r\\n\\u{202e}b");
        let long = shown(&"ä".repeat(100_000));
        assert_eq!(long.chars().count(), SHOWN_CHARS_MAX + 1);
    }
}
