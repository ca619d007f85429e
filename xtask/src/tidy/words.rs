//! Words that the sources must not have, and calls that have one place.

use super::Finding;
use super::source::{Source, line_of};

/// A piece of code with its rule.
struct Rule {
    code: &'static str,
    /// Whether tests, and code that the compiler runs, may have it.
    free_in_tests: bool,
    /// Path beginnings where it belongs; empty: nowhere.
    home: &'static [&'static str],
    why: &'static str,
}

/// The crate whose flags the user sees.
const CLI: &str = "crates/cli/src/";

const STEPS: &[&str] = &["crates/engine/src/steps/"];
const APPROVAL: &[&str] = &["crates/approval/"];
const ONLY_STEPS: &str =
    "changes the cloud: only the steps of the engine may, after their intent is on record";

const RULES: &[Rule] = &[
    Rule {
        code: "todo!",
        free_in_tests: false,
        home: &[],
        why: "is unfinished: finish it or return an error",
    },
    Rule {
        code: "unimplemented!",
        free_in_tests: false,
        home: &[],
        why: "is unfinished: finish it or return an error",
    },
    Rule { code: "dbg!", free_in_tests: false, home: &[], why: "is left over from debugging" },
    Rule {
        code: "#[ignore",
        free_in_tests: false,
        home: &[],
        why: "hides a test: assert what happens today and say what should",
    },
    Rule {
        code: ".unwrap()",
        free_in_tests: true,
        home: &[],
        why: "can panic: return an error, or `expect` with the reason",
    },
    Rule { code: ".mutate(", free_in_tests: true, home: STEPS, why: ONLY_STEPS },
    Rule { code: "::mutate(", free_in_tests: true, home: STEPS, why: ONLY_STEPS },
    Rule {
        code: "Permit::new",
        free_in_tests: false,
        home: APPROVAL,
        why: "makes a permit: only the approval crate may, after it has verified the token",
    },
];

/// Calls that must be in their home: if they were renamed, their rule would
/// guard nothing.
const MUST_OCCUR: &[&str] = &[".mutate(", "Permit::new"];

/// Findings in all sources.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found: Vec<Finding> = sources.iter().flat_map(check_one).collect();
    for rule in RULES.iter().filter(|r| MUST_OCCUR.contains(&r.code)) {
        let at_home = |s: &&Source| rule.home.iter().any(|h| s.path.starts_with(h));
        if !sources.iter().filter(at_home).any(|s| !occurrences(&s.views.code, rule.code).is_empty()) {
            let what = format!("`{}` is not called here: its rule in tidy guards nothing now", rule.code);
            found.push(Finding::new(rule.home[0], 0, what));
        }
    }
    found
}

fn check_one(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    if !source.raw.starts_with("//!") {
        let what = "must open with `//!`: what this file is for, in a sentence";
        found.push(Finding::new(&source.path, 1, what));
    }
    let code = &source.views.code;
    for rule in RULES.iter().filter(|r| !r.home.iter().any(|h| source.path.starts_with(h))) {
        for at in occurrences(code, rule.code) {
            if !(rule.free_in_tests && (source.in_test(at) || in_const_block(code, at))) {
                let what = format!("`{}` {}", rule.code, rule.why);
                found.push(Finding::new(&source.path, line_of(code, at), what));
            }
        }
    }
    found.extend(unnumbered(source));
    found.extend(force(source));
    found
}

/// Whether a `const { … }` before it on its line has the compiler run it: what
/// panics there never becomes a program.
fn in_const_block(code: &str, at: usize) -> bool {
    let line = code[..at].rsplit('\n').next().unwrap_or_default();
    line.rsplit_once("const {").is_some_and(|(_, inner)| !inner.contains('}'))
}

/// Where this piece of code is, as a word of its own.
fn occurrences(code: &str, piece: &str) -> Vec<usize> {
    let starts_word = piece.starts_with(char::is_alphabetic);
    let joined = |at: usize| code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
    code.match_indices(piece).map(|(at, _)| at).filter(|at| !(starts_word && joined(*at))).collect()
}

/// Reminders in comments that name no issue, such as `#12`.
fn unnumbered(source: &Source) -> Vec<Finding> {
    let numbered =
        |line: &str| line.split('#').skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    let open = |line: &str| ["TODO", "FIXME", "XXX"].iter().any(|w| !occurrences(line, w).is_empty());
    let lines = source.views.comments.lines().enumerate();
    lines
        .filter(|(_, line)| open(line) && !numbered(line))
        .map(|(n, _)| Finding::new(&source.path, n + 1, "a reminder needs the number of its issue"))
        .collect()
}

/// A flag that overrides refusals: as a text, or as a field that becomes a flag.
fn force(source: &Source) -> Vec<Finding> {
    if !source.path.starts_with(CLI) {
        return Vec::new();
    }
    let text = &source.views.text;
    let in_text = ["--force", "\"force\""].into_iter().flat_map(|w| text.match_indices(w));
    let in_text = in_text.map(|(at, _)| line_of(text, at));
    let code = &source.views.code;
    let field = |at: &usize| {
        let rest = code[at + "force".len()..].trim_start();
        rest.starts_with(':') && !rest.starts_with("::")
    };
    let in_code = occurrences(code, "force").into_iter().filter(field).map(|at| line_of(code, at));
    let what = "there is no `--force`: a refusal is answered by an approval or by a new plan";
    in_text.chain(in_code).map(|line| Finding::new(&source.path, line, what)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::source::of;
    use super::*;

    /// The lines found in one file of this content.
    fn lines(path: &str, body: &str) -> Vec<usize> {
        let sources = of(vec![(path.to_owned(), format!("//! A file.\n{body}\n"))]);
        check_one(&sources[0]).iter().map(|f| f.line).collect()
    }

    #[test]
    fn a_file_must_open_with_its_purpose() {
        let sources = of(vec![("a/src/lib.rs".to_owned(), "use std::fs;\n//! late\n".to_owned())]);
        assert_eq!(check_one(&sources[0]).len(), 1);
        assert!(lines("a/src/lib.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn each_banned_word_is_found_in_code_and_only_there() {
        for word in ["todo!()", "unimplemented!()", "dbg!(x)", "#[ignore = \"slow\"]", "x.unwrap()"] {
            assert_eq!(lines("a/src/lib.rs", word), [2], "{word}");
            assert!(lines("a/src/lib.rs", &format!("// {word}")).is_empty(), "{word}");
        }
        assert!(lines("a/src/lib.rs", "let s = \"todo!()\"; my_todo!();").is_empty());
    }

    #[test]
    fn unwrap_is_free_in_tests_and_a_hidden_test_is_not() {
        let test = |body: &str| format!("#[cfg(test)]\nmod tests {{\n{body}\n}}");
        assert!(lines("a/src/lib.rs", &test("x.unwrap();")).is_empty());
        assert!(lines("a/tests/it.rs", "x.unwrap();").is_empty());
        assert_eq!(lines("a/src/lib.rs", &test("#[ignore]")), [4]);
    }

    #[test]
    fn unwrap_is_free_where_the_compiler_runs_it() {
        assert!(lines("a/src/lib.rs", "f(const { NonZeroU32::new(1).unwrap() });").is_empty());
        assert_eq!(lines("a/src/lib.rs", "f(const { 1 }, x.unwrap());"), [2]);
    }

    #[test]
    fn the_cloud_is_changed_by_the_steps_only() {
        for call in ["client.mutate(permit)", "Client::mutate(client, permit)"] {
            assert!(lines("crates/engine/src/steps/create.rs", call).is_empty());
            assert_eq!(lines("crates/engine/src/engine.rs", call), [2]);
            assert_eq!(lines("crates/cli/src/main.rs", call), [2]);
            assert!(lines("crates/cloud/tests/client.rs", call).is_empty());
        }
    }

    #[test]
    fn a_permit_is_made_by_the_approval_crate_only() {
        assert!(lines("crates/approval/src/grant.rs", "Permit::new()").is_empty());
        assert_eq!(lines("crates/engine/src/engine.rs", "Permit::new()"), [2]);
        assert_eq!(lines("crates/engine/tests/it.rs", "Permit::new()"), [2]);
    }

    #[test]
    fn a_rule_that_guards_nothing_is_found() {
        let file = |path: &str, call: &str| (path.to_owned(), format!("//! A file.\n{call}\n"));
        let step = file("crates/engine/src/steps/create.rs", "client.mutate(permit)");
        let grant = file("crates/approval/src/grant.rs", "Permit::new()");
        assert!(check(&of(vec![step.clone(), grant])).is_empty());
        assert_eq!(check(&of(vec![step])).len(), 1);
        assert_eq!(check(&of(Vec::new())).len(), 2);
    }

    #[test]
    fn a_reminder_needs_the_number_of_an_issue() {
        assert_eq!(lines("a/src/lib.rs", "// TODO: later"), [2]);
        assert_eq!(lines("a/src/lib.rs", "x(); // FIXME # soon"), [2]);
        assert!(lines("a/src/lib.rs", "// TODO(#12): later").is_empty());
        assert!(lines("a/src/lib.rs", "let s = \"TODO\";").is_empty());
    }

    #[test]
    fn a_flag_that_overrides_refusals_is_found() {
        for flag in ["#[arg(long = \"force\")]", "force: bool,", "let f = \"--force\";"] {
            assert_eq!(lines("crates/cli/src/args/up.rs", flag), [2], "{flag}");
            assert!(lines("crates/sim/src/lib.rs", flag).is_empty(), "{flag}");
        }
        for harmless in ["enforce: bool,", "force::apply()", "// --force"] {
            assert!(lines("crates/cli/src/args/up.rs", harmless).is_empty(), "{harmless}");
        }
    }
}
