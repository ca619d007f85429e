//! Files that import each other in a loop.
//!
//! A loop of files can only be understood, and changed, as a whole. Paths are
//! read as text: `use` trees, and paths that begin with `crate`, `self` or
//! `super`. A name that a parent module only hands on counts for the file that
//! defines it.

use super::Finding;
use super::source::Source;
use std::collections::{BTreeMap, BTreeSet};

/// Most loops in the whole workspace.
const CIRCLES_MAX: usize = 4;

/// Crates without any loop.
const NONE: &[&str] = &[
    "crates/core/",
    "crates/approval/",
    "crates/agent/",
    "crates/ledger/",
    "crates/nats/",
    "crates/orchestrator/",
    "crates/spans/",
];

/// Files by module path: `["a", "b"]` is `src/a/b.rs` or `src/a/b/mod.rs`.
type Modules<'s> = BTreeMap<Vec<String>, &'s Source>;
/// Files and what each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// Findings for loops of files that are not tests.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let circles = circles(&imports(sources));
    let too_many = circles.len() > CIRCLES_MAX;
    let counts = |first: &String| too_many || NONE.iter().any(|root| first.starts_with(root));
    let found = circles.into_iter().filter(|circle| counts(&circle[0]));
    found
        .map(|circle| {
            let what = format!("imports itself through {}", circle[1..].join(", "));
            Finding::new(&circle[0], 0, what)
        })
        .collect()
}

/// What each file of each crate imports of its own crate.
fn imports(sources: &[Source]) -> Imports {
    let mut crates: BTreeMap<&str, Modules<'_>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        if let Some((root, file)) = source.path.split_once("/src/") {
            crates.entry(root).or_default().insert(module(file), source);
        }
    }
    let mut imports = Imports::new();
    for modules in crates.values() {
        for (path, source) in modules {
            let named = names(source, path, modules);
            let targets = named.iter().filter_map(|name| resolve(modules, name, 0));
            let others = targets.filter(|target| *target != source.path);
            imports.insert(source.path.clone(), others.map(str::to_owned).collect());
        }
    }
    imports
}

/// The module path of a file below `src`.
fn module(file: &str) -> Vec<String> {
    let mut path: Vec<String> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(path.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        path.pop();
    }
    path
}

/// Every path of its own crate that a file names, from the root of the crate.
/// What it only hands on is no use of its own.
fn names(source: &Source, module: &[String], modules: &Modules<'_>) -> Vec<Vec<String>> {
    let code = &source.views.code;
    let mut found = Vec::new();
    for start in ["crate::", "super::", "self::", "use "] {
        for (at, _) in code.match_indices(start) {
            let (before, after) = (&code[..at], &code[at..]);
            let joined = before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | ':'));
            let handed_on = is_handed_on(before) || is_handed_on(&code[..at + start.len()]);
            if joined || source.in_test(at) || handed_on {
                continue;
            }
            let paths = tree(after.trim_start_matches("use "));
            found.extend(paths.iter().filter_map(|path| absolute(module, path)).filter(|path| {
                start != "use " || path.get(..=module.len()).is_some_and(|child| modules.contains_key(child))
            }));
        }
    }
    found
}

/// Whether what stands before a path makes it a `pub use`.
fn is_handed_on(before: &str) -> bool {
    let statement = before.rsplit([';', '}']).next().unwrap_or_default();
    let words: Vec<&str> = statement.split_whitespace().collect();
    words.iter().any(|word| word.starts_with("pub")) && words.contains(&"use")
}

/// The paths of a `use` tree, or the one path, that the text begins with.
fn tree(text: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    expand(text, &mut Vec::new(), &mut paths);
    paths
}

/// Reads one tree after `prefix` and gives the rest of the text.
fn expand<'t>(text: &'t str, prefix: &mut Vec<String>, paths: &mut Vec<Vec<String>>) -> &'t str {
    let before = prefix.len();
    let mut rest = text.trim_start();
    loop {
        let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end > 0 {
            prefix.push(rest[..end].to_owned());
        }
        rest = &rest[end..];
        match rest.strip_prefix("::") {
            Some(more) if more.starts_with('{') => {
                rest = more[1..].trim_start();
                while !rest.is_empty() && !rest.starts_with('}') {
                    rest = expand(rest, prefix, paths).trim_start();
                    rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
                }
                rest = rest.strip_prefix('}').unwrap_or(rest);
                break;
            }
            Some(more) if more.starts_with(|c: char| c.is_alphabetic() || c == '_') => rest = more,
            _ => {
                paths.push(prefix.clone());
                break;
            }
        }
    }
    prefix.truncate(before);
    let end = rest.find([',', '}', ';']).unwrap_or(rest.len());
    &rest[end..]
}

/// A path from the root of the crate; one that begins with a name of its own
/// begins in the module.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut base = module.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &rest[1..];
        }
        "self" => rest = &rest[1..],
        _ => {}
    }
    while rest.first().is_some_and(|word| word == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The file that defines what a path names. A name that a module hands on is
/// looked for where that has it from, a few steps at most.
fn resolve<'s>(modules: &Modules<'s>, path: &[String], steps: u8) -> Option<&'s str> {
    let deepest = (0..=path.len()).rev().find(|length| modules.contains_key(&path[..*length]))?;
    let source = modules[&path[..deepest]];
    let Some(name) = path.get(deepest).filter(|_| steps < 4) else { return Some(&source.path) };
    let code = &source.views.code;
    for (at, _) in code.match_indices("use ") {
        if is_handed_on(&format!("{}use ", &code[..at])) {
            let origins = tree(&code[at + 4..]);
            if let Some(origin) = origins.iter().find(|origin| origin.last() == Some(name)) {
                return resolve(modules, &absolute(&path[..deepest], origin)?, steps + 1);
            }
        }
    }
    Some(&source.path)
}

/// The loops: each a set of files of which every one reaches every other.
fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let reach: BTreeMap<&String, BTreeSet<&String>> =
        imports.keys().map(|file| (file, reached(imports, file))).collect();
    let mut found = BTreeSet::new();
    for (file, others) in &reach {
        let back = others.iter().filter(|other| reach.get(*other).is_some_and(|set| set.contains(file)));
        let circle: BTreeSet<String> = back.map(|other| (*other).clone()).collect();
        if !circle.is_empty() {
            found.insert(circle.into_iter().collect::<Vec<_>>());
        }
    }
    found.into_iter().collect()
}

fn reached<'i>(imports: &'i Imports, from: &String) -> BTreeSet<&'i String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&String> = imports.get(from).into_iter().flatten().collect();
    while let Some(file) = open.pop() {
        if found.insert(file) {
            open.extend(imports.get(file).into_iter().flatten());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::source::of;
    use super::*;

    fn found(pairs: &[(&str, &str)]) -> Vec<Vec<String>> {
        let pairs = pairs.iter().map(|(path, raw)| ((*path).to_owned(), (*raw).to_owned())).collect();
        circles(&imports(&of(pairs)))
    }

    #[test]
    fn a_loop_is_found_through_trees_parents_and_handed_on_names() {
        let two = found(&[
            ("a/src/lib.rs", "mod one;\nmod two;\npub use two::{Other, Two};"),
            ("a/src/one.rs", "use crate::{\n  Two,\n};"),
            ("a/src/two.rs", "fn f() { super::one::g() }"),
        ]);
        assert_eq!(two, [["a/src/one.rs", "a/src/two.rs"]]);
        let nested = found(&[
            ("a/src/x/mod.rs", "use self::y::f;"),
            ("a/src/x/y.rs", "use super::{Z, z::{self}};"),
            ("a/src/x/z.rs", ""),
        ]);
        assert_eq!(nested, [["a/src/x/mod.rs", "a/src/x/y.rs"]]);
    }

    #[test]
    fn what_is_handed_on_and_what_only_tests_use_is_no_loop() {
        let none = found(&[
            ("a/src/lib.rs", "mod one;\npub use crate::one::One;\npub(crate) use self::one::more;"),
            ("a/src/one.rs", "use crate::helper;\n#[cfg(test)]\nmod tests { use crate::two::Two; }"),
            ("a/src/two.rs", "use crate::one::One;"),
        ]);
        assert_eq!(none, Vec::<Vec<String>>::new());
    }
}
