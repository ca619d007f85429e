//! The limits on length, and the list of what is over them today.
//!
//! An entry allows exactly what it names, with its reason, and only as long as
//! it is needed: lengths may shrink and never grow.

use super::Finding;
use super::length::{Length, Measured};
use crate::outcome::Outcome;
use crate::repo::Repo;

const LIST: &str = "xtask/ratchet.txt";

/// The list of exceptions.
pub(super) struct Ratchet {
    entries: Vec<Entry>,
}

struct Entry {
    line: usize,
    what: String,
    /// `path`, or `path::name` for a function.
    key: String,
    lines: usize,
}

impl Ratchet {
    /// Reads the list of this repository.
    pub(super) fn load(repo: &Repo) -> Outcome<Self> {
        let text = std::fs::read_to_string(repo.root.join(LIST))
            .map_err(|error| format!("cannot read {LIST}: {error}"))?;
        Self::parse(&text)
    }

    /// `file|function KEY LINES REASON`, one a line; `#` begins a comment.
    fn parse(text: &str) -> Outcome<Self> {
        let mut entries = Vec::new();
        for (n, line) in text.lines().enumerate() {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let mut words = line.split_whitespace();
            let entry = (|| {
                let what = words.next().filter(|w| matches!(*w, "file" | "function"))?.to_owned();
                let key = words.next()?.to_owned();
                let lines = words.next()?.parse().ok()?;
                words.next()?;
                Some(Entry { line: n + 1, what, key, lines })
            })();
            let wanted = "`file|function KEY LINES REASON`";
            entries.push(entry.ok_or_else(|| format!("{LIST}:{}: wants {wanted}", n + 1))?);
        }
        Ok(Self { entries })
    }

    /// Findings for what is too long, and for entries that allow too much.
    pub(super) fn check(&self, lengths: &[Length]) -> Vec<Finding> {
        let mut found = Vec::new();
        let mut used = vec![false; self.entries.len()];
        for length in lengths.iter().filter(|l| l.lines > l.what.limit()) {
            let entry =
                self.entries.iter().position(|e| e.what == length.what.word() && e.key == key(length));
            if let Some(index) = entry {
                used[index] = true;
            }
            let allowed = entry.map_or(length.what.limit(), |index| self.entries[index].lines);
            if length.lines > allowed {
                found.push(too_long(length, allowed));
            } else if length.lines < allowed {
                let what = format!("{} has {} lines now: write that", key(length), length.lines);
                found.push(Finding::new(LIST, entry.map_or(0, |index| self.entries[index].line), what));
            }
        }
        for (entry, _) in self.entries.iter().zip(used).filter(|(_, used)| !used) {
            let what = format!("{} is within its limit or gone: remove the entry", entry.key);
            found.push(Finding::new(LIST, entry.line, what));
        }
        found
    }
}

fn key(length: &Length) -> String {
    match length.what {
        Measured::File => length.path.clone(),
        Measured::Function => format!("{}::{}", length.path, length.name),
    }
}

fn too_long(length: &Length, allowed: usize) -> Finding {
    let subject = match length.what {
        Measured::File => "the file".to_owned(),
        Measured::Function => format!("function `{}`", length.name),
    };
    let what = format!("{subject} has {} lines, {allowed} are allowed: divide it", length.lines);
    Finding::new(&length.path, length.line, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(list: &str, what: Measured, name: &str, lines: usize) -> Vec<Finding> {
        let length = Length { what, path: "a.rs".to_owned(), name: name.to_owned(), line: 1, lines };
        Ratchet::parse(list).expect("a list").check(&[length])
    }

    #[test]
    fn what_is_too_long_is_found() {
        assert!(findings("", Measured::File, "", 650).is_empty());
        assert_eq!(findings("", Measured::File, "", 651).len(), 1);
        assert!(findings("", Measured::Function, "f", 70).is_empty());
        assert_eq!(findings("", Measured::Function, "f", 71).len(), 1);
    }

    #[test]
    fn an_entry_allows_what_it_names_and_no_line_more() {
        let list = "# exceptions\nfunction a.rs::f 90 one table\n";
        assert!(findings(list, Measured::Function, "f", 90).is_empty());
        assert_eq!(findings(list, Measured::Function, "f", 91).len(), 1);
        assert_eq!(findings(list, Measured::Function, "g", 90).len(), 2);
    }

    #[test]
    fn an_entry_that_allows_too_much_is_found() {
        let list = "function a.rs::f 90 one table\n";
        assert_eq!(findings(list, Measured::Function, "f", 80)[0].place, LIST);
        assert_eq!(findings(list, Measured::Function, "f", 60)[0].place, LIST);
    }

    #[test]
    fn an_entry_needs_a_reason() {
        assert!(Ratchet::parse("file a.rs 700 generated\n").is_ok());
        for bad in ["file a.rs 700", "file a.rs many because", "module a.rs 700 because"] {
            assert!(Ratchet::parse(bad).is_err_and(|m| m.contains(":1:")), "{bad}");
        }
    }
}
