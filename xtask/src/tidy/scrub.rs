//! Tells code, text literals and comments of a Rust source apart.
//!
//! Not a parser: it knows just enough of the lexical rules that a brace in a
//! string or a word in a comment is not taken for code.

/// Three views of one source; in each, what does not belong to it is blank, so
/// that lines and columns are the same in all.
#[derive(Default)]
pub(super) struct Views {
    /// Code alone.
    pub(super) code: String,
    /// Code and literals.
    pub(super) text: String,
    /// Comments alone.
    pub(super) comments: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Literal,
    Comment,
}

/// Makes the three views.
pub(super) fn scrub(source: &str) -> Views {
    let chars: Vec<char> = source.chars().collect();
    let mut views = Views::default();
    let mut at = 0;
    while at < chars.len() {
        let (part, length) = token(&chars, at);
        for &c in &chars[at..at + length] {
            views.push(part, c);
        }
        at += length;
    }
    views
}

impl Views {
    fn push(&mut self, part: Part, c: char) {
        let blank = if c == '\n' { '\n' } else { ' ' };
        self.code.push(if part == Part::Code { c } else { blank });
        self.text.push(if part == Part::Comment { blank } else { c });
        self.comments.push(if part == Part::Comment { c } else { blank });
    }
}

/// What begins here, and how many characters it has.
fn token(chars: &[char], at: usize) -> (Part, usize) {
    let next = chars.get(at + 1).copied();
    match chars[at] {
        '/' if next == Some('/') => (Part::Comment, until_line_end(chars, at)),
        '/' if next == Some('*') => (Part::Comment, block_comment(chars, at)),
        '"' => (Part::Literal, string(chars, at)),
        'r' if !follows_word(chars, at) => match raw_string(chars, at) {
            Some(length) => (Part::Literal, length),
            None => (Part::Code, 1),
        },
        '\'' => match character(chars, at) {
            Some(length) => (Part::Literal, length),
            None => (Part::Code, 1),
        },
        _ => (Part::Code, 1),
    }
}

/// Whether a letter before makes this one the rest of a word; the prefixes of
/// byte and C strings do not.
fn follows_word(chars: &[char], at: usize) -> bool {
    let word = |i: usize| chars.get(i).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    match at.checked_sub(1) {
        Some(before) if matches!(chars[before], 'b' | 'c') => before.checked_sub(1).is_some_and(word),
        Some(before) => word(before),
        None => false,
    }
}

fn until_line_end(chars: &[char], at: usize) -> usize {
    chars[at..].iter().position(|c| *c == '\n').unwrap_or(chars.len() - at)
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let mut depth = 0;
    let mut i = at;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => {
                depth += 1;
                i += 1;
            }
            ('*', Some('/')) => {
                depth -= 1;
                i += 1;
            }
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i.min(chars.len()) - at
}

fn string(chars: &[char], at: usize) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len()) - at
}

fn raw_string(chars: &[char], at: usize) -> Option<usize> {
    let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
    let open = at + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return None;
    }
    let closes = |i: usize| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    let end = (open + 1..chars.len()).find(|i| closes(*i)).map_or(chars.len(), |i| i + 1 + hashes);
    Some(end - at)
}

/// A character literal; a lifetime is none.
fn character(chars: &[char], at: usize) -> Option<usize> {
    if chars.get(at + 1) == Some(&'\\') {
        let end = (at + 3..chars.len()).find(|i| chars[*i] == '\'')?;
        return Some(end + 1 - at);
    }
    (chars.get(at + 2) == Some(&'\'')).then_some(3)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(source: &str) -> String {
        scrub(source).code.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn literals_and_comments_are_not_code() {
        assert_eq!(code(r#"let a = "} // {"; // }"#), "let a = ;");
        assert_eq!(code(r#"a("\"}"); b"#), "a( ); b");
        assert_eq!(code("a /* { /* } */ { */ b"), "a b");
        assert_eq!(code("r#\"}\"{\"# x br\"{\" y"), "x b y");
        assert_eq!(code(r"m('{', '\'', '\u{7d}', 'x')"), "m( , , , )");
    }

    #[test]
    fn lifetimes_raw_names_and_words_that_end_in_r_are_code() {
        assert_eq!(code("fn f<'a>(x: &'a str) {}"), "fn f<'a>(x: &'a str) {}");
        assert_eq!(code("r#type + bar"), "r#type + bar");
        assert_eq!(code("error\"x\""), "error");
    }

    #[test]
    fn the_views_keep_lines_and_divide_the_source() {
        let views = scrub("a // one\n\"two\" b\n");
        assert_eq!(views.code, "a       \n      b\n");
        assert_eq!(views.text, "a       \n\"two\" b\n");
        assert_eq!(views.comments, "  // one\n       \n");
    }

    #[test]
    fn what_is_never_closed_ends_with_the_source() {
        for open in ["\"abc", "/* abc", "r#\"abc", "'\\", "\"\\"] {
            let views = scrub(open);
            assert_eq!(views.code.chars().count(), open.chars().count(), "{open}");
        }
    }
}
