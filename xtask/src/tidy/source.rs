//! The Rust sources of the repository, and which parts of them are tests.

use super::files;
use super::scrub::{Views, scrub};
use crate::outcome::Outcome;
use crate::repo::Repo;

/// One source.
pub(super) struct Source {
    /// Relative to the root, with forward slashes.
    pub(super) path: String,
    /// As it is.
    pub(super) raw: String,
    /// Divided into code, literals and comments.
    pub(super) views: Views,
    /// The byte ranges of `views.code` that are compiled for tests only.
    tests: Vec<(usize, usize)>,
    /// Whether all of it is a test.
    pub(super) is_test: bool,
}

impl Source {
    fn new(path: &str, raw: String) -> Self {
        let views = scrub(&raw);
        let tests = test_ranges(&views.code);
        let is_test = path.contains("/tests/") || views.code.contains("#![cfg(test)]");
        Self { path: path.to_owned(), raw, views, tests, is_test }
    }

    /// Whether this byte of the code belongs to a test.
    pub(super) fn in_test(&self, at: usize) -> bool {
        self.is_test || self.tests.iter().any(|(from, to)| (*from..*to).contains(&at))
    }

    /// The paths, without `.rs`, that modules declared for tests may have.
    fn test_modules(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (from, to) in &self.tests {
            let Some(declaration) = self.views.code[*from..*to].strip_suffix(';') else { continue };
            let Some((attributes, name)) = declaration.rsplit_once("mod ") else { continue };
            let (folder, file) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
            // Both views have as many characters, so the literal is on the same ones.
            let skipped = self.views.code[..*from].chars().count();
            let literals: String =
                self.views.text.chars().skip(skipped).take(attributes.chars().count()).collect();
            if let Some(path) = literals.split("path = \"").nth(1).and_then(|p| p.split('"').next()) {
                found.push(format!("{folder}/{}", path.trim_end_matches(".rs")));
            } else if matches!(file, "mod.rs" | "lib.rs" | "main.rs") {
                found.push(format!("{folder}/{}", name.trim()));
            } else {
                found.push(format!("{folder}/{}/{}", file.trim_end_matches(".rs"), name.trim()));
            }
        }
        found
    }
}

/// Reads every source of the repository.
pub(super) fn load(repo: &Repo) -> Outcome<Vec<Source>> {
    let mut pairs = Vec::new();
    for path in files(&repo.root, ".rs")? {
        let raw = std::fs::read_to_string(repo.root.join(&path))
            .map_err(|error| format!("cannot read {path}: {error}"))?;
        pairs.push((path, raw));
    }
    Ok(of(pairs))
}

/// The sources with these paths and contents.
pub(super) fn of(pairs: Vec<(String, String)>) -> Vec<Source> {
    let mut sources: Vec<Source> = pairs.into_iter().map(|(path, raw)| Source::new(&path, raw)).collect();
    let modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    for source in &mut sources {
        let stem = source.path.trim_end_matches(".rs");
        let inside = |module: &String| stem == module || stem.starts_with(&format!("{module}/"));
        source.is_test |= modules.iter().any(inside);
    }
    sources
}

/// The line of this byte, from 1.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// The items under `#[cfg(test)]`, each with its attribute.
fn test_ranges(code: &str) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    for attribute in ["#[cfg(test)]", "#[cfg(any(test", "#[cfg(all(test"] {
        for (from, _) in code.match_indices(attribute) {
            found.push((from, item_end(code, from)));
        }
    }
    found
}

/// The byte after the item that begins here: after its `;` or its block.
pub(super) fn item_end(code: &str, from: usize) -> usize {
    let mut nesting = 0_usize;
    let mut block = 0_usize;
    for (offset, c) in code[from..].char_indices() {
        match c {
            '(' | '[' if block == 0 => nesting += 1,
            ')' | ']' if block == 0 => nesting = nesting.saturating_sub(1),
            ';' if block == 0 && nesting == 0 => return from + offset + 1,
            '{' if nesting == 0 => block += 1,
            '}' if block > 0 => {
                block -= 1;
                if block == 0 {
                    return from + offset + 1;
                }
            }
            _ => {}
        }
    }
    code.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(pairs: &[(&str, &str)]) -> Vec<Source> {
        of(pairs.iter().map(|(path, raw)| ((*path).to_owned(), (*raw).to_owned())).collect())
    }

    #[test]
    fn a_test_module_is_a_test_and_what_follows_it_is_not() {
        let one = &sources(&[("a/src/lib.rs", "x();\n#[cfg(test)]\nmod tests {\n y();\n}\nz();\n")])[0];
        let at = |word: &str| one.views.code.find(word).expect("there");
        assert!(!one.in_test(at("x()")));
        assert!(one.in_test(at("y()")));
        assert!(!one.in_test(at("z()")));
    }

    #[test]
    fn a_file_that_is_declared_for_tests_is_a_test() {
        let found = sources(&[
            ("a/src/lib.rs", "// é\n#[cfg(test)]\nmod testing;\nmod real;\n"),
            (
                "a/src/real.rs",
                "#[cfg(test)]\n#[path = \"real_tests.rs\"]\nmod tests;\n#[cfg(test)]\nmod more;\n",
            ),
            ("a/src/real/more.rs", ""),
            ("a/src/real_tests.rs", ""),
            ("a/src/testing.rs", ""),
            ("a/src/testing/deep.rs", ""),
            ("a/tests/story.rs", ""),
            ("a/src/tested.rs", ""),
        ]);
        let tests: Vec<&str> = found.iter().filter(|s| s.is_test).map(|s| s.path.as_str()).collect();
        assert_eq!(
            tests,
            [
                "a/src/real/more.rs",
                "a/src/real_tests.rs",
                "a/src/testing.rs",
                "a/src/testing/deep.rs",
                "a/tests/story.rs"
            ]
        );
    }

    #[test]
    fn an_item_ends_after_its_block_or_semicolon() {
        assert_eq!(item_end("fn a(x: [u8; 2]) { { } } b", 0), 24);
        assert_eq!(item_end("use a; b", 0), 6);
        assert_eq!(item_end("fn a(", 0), 5);
    }

    #[test]
    fn lines_are_counted_from_one() {
        assert_eq!(line_of("a\nb\nc", 0), 1);
        assert_eq!(line_of("a\nb\nc", 4), 3);
    }
}
