//! Valid inputs with something hostile done to them, the same way for every decoder.

use std::sync::LazyLock;

use exokit_fuzz::{TARGETS, Target};
use proptest::prelude::*;
use serde_json::Value;

/// Cases for all targets together.
const CASES: u32 = 3_000;

/// Largest seed that is mutated here; the fuzzer takes the larger ones.
const SEED_BYTES_MAX: usize = 20_000;

/// A target with its seeds.
type Seeded = (&'static Target, Vec<Vec<u8>>);

/// The targets with their seeds, without the canary.
static SEEDED: LazyLock<Vec<Seeded>> = LazyLock::new(|| {
    let small = |target: &Target| {
        let seeds = (target.seeds)();
        seeds.into_iter().filter(|seed| seed.len() <= SEED_BYTES_MAX).collect()
    };
    TARGETS.iter().filter(|target| target.name != "canary").map(|target| (target, small(target))).collect()
});

/// The seeds that are JSON.
static TREES: LazyLock<Vec<(&Target, Value)>> = LazyLock::new(|| {
    let seeds = SEEDED.iter().flat_map(|(target, seeds)| seeds.iter().map(move |seed| (*target, seed)));
    seeds.filter_map(|(target, seed)| Some((target, serde_json::from_slice(seed).ok()?))).collect()
});

/// What has broken decoders elsewhere: numbers at every edge, characters that
/// hide or steer, paths that climb, the constructs of YAML, XML and JSON.
const HOSTILE: &[&str] = &[
    "\0",
    "\u{1b}[2J",
    "\r\nset-cookie: a",
    "\u{202e}",
    "\u{200b}",
    "\u{feff}",
    "а",
    "ﬀ",
    "../",
    "..%2f",
    "/",
    "%00",
    "-1",
    "-0",
    "+1",
    "0",
    "1e400",
    "1e-400",
    "NaN",
    ".inf",
    "9007199254740993",
    "18446744073709551616",
    "-9223372036854775808",
    "0x10",
    "1_000",
    "99999999999999999999999999999999",
    "null",
    "true",
    "{}",
    "[]",
    "\"",
    "'",
    "\\",
    "&a",
    "*a",
    "<<: *a",
    "!!python/object",
    "? ",
    "- ",
    "---\n",
    "# ",
    "&lt;",
    "<!DOCTYPE a>",
    "<![CDATA[",
    "]]>",
    "&#0;",
    "&#x1F4A9;",
    ",",
    ";",
    "=",
    ".",
    "..",
    "\n\n",
    "\t",
    "{self}",
    "{zone}",
    "@",
    ":443",
    "#x",
    "?x",
];

/// One change to a text.
#[derive(Debug, Clone)]
enum Change {
    Put(usize, &'static str),
    Replace(usize, usize, &'static str),
    Remove(usize, usize),
    Twice(usize, usize),
    Flip(usize, u8),
    Cut(usize),
    Nest(usize, u8),
}

fn change() -> impl Strategy<Value = Change> {
    let word = prop::sample::select(HOSTILE);
    prop_oneof![
        (any::<usize>(), word.clone()).prop_map(|(at, word)| Change::Put(at, word)),
        (any::<usize>(), 0..24_usize, word).prop_map(|(at, length, word)| Change::Replace(at, length, word)),
        (any::<usize>(), 1..60_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (any::<usize>(), 1..200_usize).prop_map(|(at, length)| Change::Twice(at, length)),
        (any::<usize>(), 0..8_u8).prop_map(|(at, bit)| Change::Flip(at, bit)),
        any::<usize>().prop_map(Change::Cut),
        (any::<usize>(), any::<u8>()).prop_map(|(at, deep)| Change::Nest(at, deep)),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    let place = |at: usize| at % (bytes.len() + 1);
    let piece = |at: usize, length: usize| place(at)..(place(at) + length).min(bytes.len());
    match change {
        Change::Put(at, word) => drop(bytes.splice(piece(*at, 0), word.bytes())),
        Change::Replace(at, length, word) => drop(bytes.splice(piece(*at, *length), word.bytes())),
        Change::Remove(at, length) => drop(bytes.drain(piece(*at, *length))),
        Change::Twice(at, length) => {
            let piece = piece(*at, *length);
            let copy = bytes[piece.clone()].to_vec();
            drop(bytes.splice(piece.end..piece.end, copy));
        }
        Change::Flip(at, bit) => {
            if let Some(byte) = bytes.len().checked_sub(1).and_then(|last| bytes.get_mut(at % (last + 1))) {
                *byte ^= 1 << bit;
            }
        }
        Change::Cut(at) => bytes.truncate(place(*at)),
        Change::Nest(at, deep) => {
            let opening = [b'['; 256];
            drop(bytes.splice(piece(*at, 0), opening[..usize::from(*deep)].iter().copied()));
        }
    }
}

/// Puts a value of another kind, or beside its sense, at one place of a tree.
fn plant(value: &mut Value, path: &[usize], planted: &Value) {
    let (Some((first, rest)), true) = (path.split_first(), value.is_array() || value.is_object()) else {
        *value = planted.clone();
        return;
    };
    let child = match value {
        Value::Array(items) if !items.is_empty() => {
            let at = first % items.len();
            items.get_mut(at)
        }
        Value::Object(fields) if !fields.is_empty() => {
            let at = first % fields.len();
            fields.values_mut().nth(at)
        }
        _ => None,
    };
    match child {
        Some(child) => plant(child, rest, planted),
        None => *value = planted.clone(),
    }
}

fn planted() -> impl Strategy<Value = Value> {
    prop_oneof![
        prop::sample::select(HOSTILE).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        Just(Value::Null),
        Just(Value::Bool(true)),
        Just(serde_json::json!([])),
        Just(serde_json::json!({"unknown": [{}]})),
        "[ -~]{0,300}".prop_map(Value::from),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_text_is_answered(
        which: prop::sample::Index,
        seed: prop::sample::Index,
        changes in prop::collection::vec(change(), 1..5),
    ) {
        let (target, seeds) = which.get(&SEEDED[..]);
        let mut bytes = seed.get(&seeds[..]).clone();
        changes.iter().for_each(|change| apply(&mut bytes, change));
        (target.run)(&bytes);
    }

    #[test]
    fn whatever_stands_in_a_tree_is_answered(
        which: prop::sample::Index,
        path in prop::collection::vec(any::<usize>(), 1..9),
        planted in planted(),
    ) {
        prop_assert!(TREES.len() > 10);
        let (target, mut tree) = which.get(&TREES[..]).clone();
        plant(&mut tree, &path, &planted);
        (target.run)(&serde_json::to_vec(&tree).unwrap());
    }

    #[test]
    fn any_bytes_are_answered(which: prop::sample::Index, bytes: Vec<u8>, text in "\\PC{0,200}") {
        let (target, _) = which.get(&SEEDED[..]);
        (target.run)(&bytes);
        (target.run)(text.as_bytes());
    }
}

#[test]
fn one_flipped_bit_of_a_vote_or_a_roster_is_one_too_many() {
    for name in ["approval-token", "roster"] {
        let (target, seeds) = SEEDED.iter().find(|(target, _)| target.name == name).unwrap();
        // The signed form has dots, the form without signature has none.
        let signed =
            seeds.iter().filter(|seed| !seed.starts_with(b"{")).min_by_key(|seed| seed.len()).unwrap();
        for place in 0..signed.len() {
            let mut flipped = signed.clone();
            flipped[place] ^= 1 << (place % 8);
            assert!(!(target.run)(&flipped), "{name}: {}", String::from_utf8_lossy(&flipped));
        }
    }
}

#[test]
fn what_is_deep_or_long_ends_like_anything_else() {
    let pieces = [
        "[",
        "{\"a\":",
        "<a>",
        "(",
        "!",
        "a||",
        "a.b",
        "'a'.has('')&&",
        "- ",
        "a: &a\n",
        "[[a]]\n",
        "a=",
        ".",
        "%41",
    ];
    for piece in pieces {
        let long = piece.repeat(600_000 / piece.len());
        for (target, _) in SEEDED.iter() {
            (target.run)(long.as_bytes());
            (target.run)(format!("{long}true").as_bytes());
            // Behind the first line of a reply and of a request.
            (target.run)(format!("200\n\n{long}").as_bytes());
            (target.run)(format!("POST /bucket?delete=\n\n<Delete>{long}").as_bytes());
            (target.run)(format!("POST /v2/iam-role\n\n{long}").as_bytes());
        }
    }
}
