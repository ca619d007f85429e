//! The images that exokit brings along are pinned, and all stand in one file.

use super::Finding;
use super::source::Source;

/// The file that names them.
const FILE: &str = "crates/workload/src/images.rs";

/// Sources that describe what runs in a cluster.
const DESCRIBES: &str = "crates/workload/src/";

/// Registries of images, as an image begins that is written in full.
const REGISTRIES: &[&str] =
    &["docker.io/", "gcr.io/", "ghcr.io/", "quay.io/", "registry.k8s.io/", "docker.pkg.dev/"];

pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let shipped = sources.iter().filter(|source| source.path.starts_with(DESCRIBES) && !source.is_test);
    let mut found = Vec::new();
    let mut pinned = 0;
    for source in shipped {
        for (at, line) in source.raw.lines().enumerate() {
            let names_one = line.contains('"') && REGISTRIES.iter().any(|registry| line.contains(registry));
            if source.path != FILE && names_one {
                let what = format!("names an image: put it into {FILE}, with its digest");
                found.push(Finding::new(&source.path, at + 1, what));
            }
        }
        if source.path == FILE {
            pinned = judge(source, &mut found);
        }
    }
    if pinned == 0 {
        found.push(Finding::new(FILE, 0, "names no image: this rule looks at the wrong file"));
    }
    found
}

/// Each image of the file has a version that is one, and a digest. Gives their
/// number.
fn judge(source: &Source, found: &mut Vec<Finding>) -> usize {
    let value = |line: &str, field: &str| {
        let (_, rest) = line.trim().split_once(&format!("{field}: \""))?;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    let lines = || source.raw.lines().enumerate();
    for (at, line) in lines() {
        let moves =
            value(line, "version").is_some_and(|version| !version.contains(|c: char| c.is_ascii_digit()));
        let is_digest = |digest: &str| {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        if moves {
            found.push(Finding::new(&source.path, at + 1, "a version has a number"));
        }
        if value(line, "digest").is_some_and(|digest| !is_digest(&digest)) {
            found.push(Finding::new(&source.path, at + 1, "a digest is sha256: and 64 hexadecimal digits"));
        }
    }
    let count = |field: &str| lines().filter(|(_, line)| value(line, field).is_some()).count();
    if count("name") != count("digest") || count("name") != count("version") {
        found.push(Finding::new(&source.path, 0, "each image has a name, a version and a digest"));
    }
    count("name")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::source::of;

    fn found(file: &str, other: &str) -> Vec<String> {
        let pairs = [(FILE, file), ("crates/workload/src/loki.rs", other)];
        let sources = of(pairs.map(|(path, text)| (path.to_owned(), text.to_owned())).to_vec());
        check(&sources).iter().map(ToString::to_string).collect()
    }

    fn image(version: &str, digest: &str) -> String {
        format!("Image {{\n name: \"docker.io/a/b\",\n version: \"{version}\",\n digest: \"{digest}\",\n}}\n")
    }

    #[test]
    fn images_are_pinned_and_stand_in_one_file() {
        let good = image("1.2", &format!("sha256:{}", "0a".repeat(32)));
        assert_eq!(found(&good, "let image = LOKI;"), Vec::<String>::new());
        for (file, other, expected) in [
            (good.clone(), "let image = \"docker.io/a/c:1\";", "names an image"),
            (image("latest", &format!("sha256:{}", "0a".repeat(32))), "", "has a number"),
            (image("1.2", "sha256:0a"), "", "64 hexadecimal digits"),
            (good.replace(" digest", " sum"), "", "a name, a version and a digest"),
            (String::new(), "", "names no image"),
        ] {
            let found = found(&file, other);
            assert!(found.len() == 1 && found[0].contains(expected), "{found:?}");
        }
    }
}
