//! How long the files and the functions are.

use super::source::{Source, item_end, line_of};

/// One measured thing.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Length {
    pub(super) what: Measured,
    pub(super) path: String,
    /// The function's name; empty for a file.
    pub(super) name: String,
    /// Where it begins.
    pub(super) line: usize,
    pub(super) lines: usize,
}

/// What has a length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Measured {
    File,
    Function,
}

impl Measured {
    /// The most lines that it may have.
    pub(super) fn limit(self) -> usize {
        match self {
            Self::File => 650,
            Self::Function => 70,
        }
    }

    /// Its name in the ratchet list.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Function => "function",
        }
    }
}

/// Measures every file and function.
pub(super) fn measure(sources: &[Source]) -> Vec<Length> {
    let mut found = Vec::new();
    for source in sources {
        let path = source.path.clone();
        let lines = source.raw.lines().count();
        found.push(Length { what: Measured::File, path, name: String::new(), line: 0, lines });
        found.extend(functions(source));
    }
    found
}

/// Each function from its `fn` line to its closing brace; a declaration
/// without a body ends at its semicolon.
fn functions(source: &Source) -> Vec<Length> {
    let code = &source.views.code;
    let mut found = Vec::new();
    let mut from = 0;
    for line in code.split_inclusive('\n') {
        if let Some(name) = function_name(line) {
            // Leading blanks and qualifiers are no part of what is matched.
            let end = item_end(code, from);
            let first = line_of(code, from);
            found.push(Length {
                what: Measured::Function,
                path: source.path.clone(),
                name: name.to_owned(),
                line: first,
                lines: line_of(code, end) - first + 1,
            });
        }
        from += line.len();
    }
    found
}

/// The name in a line that begins a function.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    if let Some(after) = rest.strip_prefix("pub") {
        rest = after.trim_start();
        if rest.starts_with('(') {
            rest = rest.split_once(')')?.1.trim_start();
        }
    }
    for qualifier in ["const ", "async ", "unsafe ", "extern "] {
        rest = rest.strip_prefix(qualifier).unwrap_or(rest).trim_start();
    }
    let name = rest.strip_prefix("fn ")?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_'))?;
    (end > 0).then(|| &name[..end])
}

#[cfg(test)]
mod tests {
    use super::super::source::of;
    use super::*;

    fn measured(source: &str) -> Vec<(String, usize, usize)> {
        let lengths = measure(&of(vec![("a.rs".to_owned(), source.to_owned())]));
        lengths.into_iter().map(|l| (l.name, l.line, l.lines)).collect()
    }

    #[test]
    fn a_function_reaches_to_its_own_brace() {
        let source = "pub(crate) async fn a(\n    x: u8,\n) {\n    b('}', \"}\");\n    {}\n}\n\nfn c() {}\n";
        let expected = [(String::new(), 0, 8), ("a".to_owned(), 1, 6), ("c".to_owned(), 8, 1)];
        assert_eq!(measured(source), expected);
    }

    #[test]
    fn a_declaration_has_no_body_and_a_pointer_is_no_function() {
        let found = measured("trait T {\n    fn a(&self) -> [u8; 2];\n    fn b();\n}\nlet f: fn (u8);\n");
        let names: Vec<&str> = found.iter().map(|(name, _, _)| name.as_str()).collect();
        assert_eq!(names, ["", "a", "b"]);
        assert!(found[1..].iter().all(|(_, _, lines)| *lines == 1));
    }
}
