//! Secrets that are easy to recognise, and the search for them in whatever
//! form they may have got out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};

/// Shortest text that is looked for: shorter ones occur by chance.
const NEEDLE_MIN: usize = 12;

/// A secret that must be in no sink.
#[derive(Clone)]
pub(crate) struct Canary {
    name: String,
    needles: BTreeMap<String, Vec<u8>>,
}

impl Canary {
    /// A secret in all the forms in which it could be found.
    pub(crate) fn new(name: &str, secret: &[u8]) -> Self {
        let mut needles = BTreeMap::new();
        let mut add = |form: &str, needle: Vec<u8>| {
            assert!(needle.len() >= NEEDLE_MIN, "{name} is too short to be recognised as {form}");
            needles.insert(form.to_owned(), needle);
        };
        add("raw", secret.to_vec());
        add("hex", HEXLOWER.encode(secret).into_bytes());
        add("HEX", HEXUPPER.encode(secret).into_bytes());
        add("URL-encoded", url_encoded(secret, false).into_bytes());
        add("wholly URL-encoded", url_encoded(secret, true).into_bytes());
        add("JSON or Rust string", String::from_utf8_lossy(secret).escape_default().to_string().into_bytes());
        // Base64 of a longer text that holds the secret: what the secret
        // alone decides, at each of the three places where it can begin.
        for (form, encoding) in [("base64", &BASE64), ("base64url", &BASE64URL)] {
            for before in 0..3 {
                let text = encoding.encode(&[&vec![0; before], secret].concat());
                let from = (before * 8).div_ceil(6);
                let to = (before + secret.len()) * 8 / 6;
                add(&format!("{form} at {before}"), text.as_bytes()[from..to].to_vec());
            }
        }
        Self { name: name.to_owned(), needles }
    }

    /// The form in which the secret is in `sink`, if it is.
    fn found_in(&self, sink: &[u8]) -> Option<&str> {
        let found = self.needles.iter().find(|(_, needle)| contains(sink, needle));
        found.map(|(form, _)| form.as_str())
    }

    /// Every form of the secret, to be planted.
    pub(crate) fn forms(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.needles.iter().map(|(form, needle)| (form.as_str(), needle.as_slice()))
    }
}

/// Percent-encoded: what must be, or every byte.
fn url_encoded(bytes: &[u8], all: bool) -> String {
    let one = |byte: &u8| match !all && (byte.is_ascii_alphanumeric() || b"-_.~".contains(byte)) {
        true => char::from(*byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    bytes.iter().map(one).collect()
}

fn contains(sink: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = sink[from..].iter().position(|byte| *byte == first) {
        from += at;
        if sink[from..].starts_with(needle) {
            return true;
        }
        from += 1;
    }
    false
}

/// What is looked through, by name, and the secrets that must not be in it.
#[derive(Default)]
pub(crate) struct Hunt {
    pub(crate) canaries: Vec<Canary>,
    sinks: BTreeMap<String, Vec<u8>>,
}

impl Hunt {
    /// A hunt for the same secrets with one sink only.
    pub(crate) fn only(&self, content: &[u8]) -> Self {
        let sinks = [("sink".to_owned(), content.to_vec())].into();
        Self { canaries: self.canaries.clone(), sinks }
    }

    /// One more secret.
    pub(crate) fn plant(&mut self, name: &str, secret: impl AsRef<[u8]>) {
        self.canaries.push(Canary::new(name, secret.as_ref()));
    }

    /// More content of a sink.
    pub(crate) fn sink(&mut self, name: &str, content: impl AsRef<[u8]>) {
        let own = self.sinks.entry(name.to_owned()).or_default();
        own.extend_from_slice(content.as_ref());
        own.push(b'\n');
    }

    /// Every file below a folder, except those at `apart`, which are meant to
    /// hold secrets: they must be readable for nobody else. Gives the number
    /// of files.
    pub(crate) fn folder(&mut self, folder: &Path, apart: &[PathBuf]) -> usize {
        let found = files(folder);
        let missing: BTreeSet<&PathBuf> = apart.iter().filter(|path| !found.contains(path)).collect();
        assert!(missing.is_empty(), "{missing:?} should be there");
        for path in &found {
            match apart.contains(path) {
                true => assert_private(path),
                false => self.sink(&path.display().to_string(), std::fs::read(path).unwrap()),
            }
        }
        found.len()
    }

    /// Where a secret was found, and in what form.
    pub(crate) fn found(&self) -> Vec<String> {
        let in_sink = |(name, content): (&String, &Vec<u8>)| {
            let found = |canary: &Canary| {
                canary.found_in(content).map(|form| format!("{} is in {name} as {form}", canary.name))
            };
            self.canaries.iter().filter_map(found).collect::<Vec<_>>()
        };
        self.sinks.iter().flat_map(in_sink).collect()
    }

    /// How much was looked through.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.sinks.len(), self.sinks.values().map(Vec::len).sum())
    }

    /// Whether some sink holds a text, which shows that the sink was filled.
    pub(crate) fn holds(&self, text: &str) -> bool {
        self.sinks.values().any(|content| contains(content, text.as_bytes()))
    }
}

/// Every file below a folder.
pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

#[cfg(unix)]
fn assert_private(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600, "{} holds secrets", path.display());
}
