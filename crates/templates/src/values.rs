//! Checks of single values: names, quantities, labels, paths.

use exokit_model::text::is_dns_label;

use crate::error::{DecodeError, hint_words};
use crate::fields::At;
use crate::known::{FAMILIES, PLAN_TIERS, sizes};
use crate::yaml::shorten;

/// Longest label value and name part of a label key.
const LABEL_CHARS_MAX: usize = 63;

/// A number within bounds.
pub(crate) fn within(at: &At<u32>, least: u32, most: u32) -> Result<u32, DecodeError> {
    let why = format!("{} is not from {least} to {most}", at.value);
    at.ensure((least..=most).contains(&at.value), why, format!("use a number from {least} to {most}"))
}

/// A port, from `least` up.
pub(crate) fn port(at: &At<u32>, least: u16, most: u16) -> Result<u16, DecodeError> {
    let value = within(at, u32::from(least), u32::from(most))?;
    u16::try_from(value).map_err(|_| at.refuse(format!("{value} is not a port"), "use a port"))
}

/// Name of a namespace or an ingress class.
pub(crate) fn dns_label(at: &At<String>) -> Result<String, DecodeError> {
    let hint = "use 1 to 63 lower-case letters, digits and inner hyphens";
    at.accept(is_dns_label(&at.value), "a name that Kubernetes accepts", hint)
}

/// Name of a Service, which may not begin with a digit.
pub(crate) fn service_name(at: &At<String>) -> Result<String, DecodeError> {
    let name = dns_label(at)?;
    let why = format!("{name:?} begins with a digit, which Services may not");
    at.ensure(name.starts_with(|c: char| c.is_ascii_lowercase()), why, "begin with a letter")
}

/// A host name such as `app.example.org`.
pub(crate) fn host_name(at: &At<String>) -> Result<String, DecodeError> {
    let name = at.value.to_ascii_lowercase();
    let good = name.len() <= 253 && name.contains('.') && name.split('.').all(is_dns_label);
    at.accept(good, "a host name", "write one such as app.example.org").map(|_| name)
}

/// A mail address, checked only for what would break a manifest.
pub(crate) fn mail(at: &At<String>) -> Result<String, DecodeError> {
    let text = &at.value;
    let good = text.len() <= 254
        && text.is_ascii()
        && !text.contains(|c: char| c.is_ascii_whitespace() || "\"'<>\\,;:{}".contains(c))
        && text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && host.contains('.') && !host.contains('@'));
    at.accept(good, "a mail address", "write one such as name@example.org")
}

/// A container image with an optional tag or digest.
pub(crate) fn image(at: &At<String>) -> Result<String, DecodeError> {
    let text = &at.value;
    let good = !text.is_empty()
        && text.len() <= 255
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("//")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/:@".contains(&b));
    at.accept(good, "a container image", "write one such as user/service:1")
}

/// An absolute path inside a container.
pub(crate) fn mount_path(at: &At<String>) -> Result<String, DecodeError> {
    let text = &at.value;
    let good = text.len() > 1
        && text.len() <= 255
        && text.starts_with('/')
        && !text.split('/').any(|part| part == ".." || part == ".")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-".contains(&b));
    at.accept(good, "a path to mount at", "write an absolute path such as /data")
}

/// Family of nodes.
pub(crate) fn family(at: &At<String>) -> Result<String, DecodeError> {
    if at.value.starts_with("gpu") {
        let why = format!("nodes of family {} are not offered", shorten(&at.value));
        let hint = format!("use one of {}", FAMILIES.join(", "));
        return Err(at.refuse(why, hint));
    }
    at.word(&FAMILIES).map(str::to_owned)
}

/// Size of nodes of a family.
pub(crate) fn size(at: &At<String>, family: &str) -> Result<String, DecodeError> {
    let known = sizes(family);
    let why = format!("family {family} has no size {:?}", shorten(&at.value));
    at.ensure(known.contains(&at.value.as_str()), why, hint_words(&at.value, &known))
}

/// A database plan such as `startup-4`.
pub(crate) fn plan(at: &At<String>) -> Result<String, DecodeError> {
    let (tier, memory) = at.value.rsplit_once('-').unwrap_or((&at.value, ""));
    if !PLAN_TIERS.contains(&tier) {
        let why = format!("unknown plan {:?}", shorten(&at.value));
        return Err(at.refuse(why, hint_words(tier, &PLAN_TIERS)));
    }
    let good = small_number(memory).is_some_and(|gib| gib <= u64::from(u16::MAX));
    let why = format!("plan {:?} lacks its size", shorten(&at.value));
    at.ensure(good, why, format!("write a size, as in {tier}-4"))
}

/// A major version such as `16`.
pub(crate) fn major_version(at: &At<String>) -> Result<String, DecodeError> {
    let text = &at.value;
    let good = (1..=8).contains(&text.len())
        && text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    at.accept(good, "a version", "write a version such as 16")
}

/// A CPU quantity, and its size in millicores. A bare number is millicores.
pub(crate) fn cpu(at: &At<String>) -> Result<(String, u64), DecodeError> {
    let digits = at.value.strip_suffix('m').unwrap_or(&at.value);
    let hint = "write millicores such as 500m; a bare 500 means the same";
    let milli = small_number(digits).ok_or_else(|| at.wrong("an amount of CPU", hint))?;
    Ok((format!("{milli}m"), milli))
}

/// A memory quantity, and its size in bytes. A bare number is Mi.
pub(crate) fn memory(at: &At<String>) -> Result<(String, u64), DecodeError> {
    const UNITS: [(&str, u64); 6] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
    ];
    let letters = at.value.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &at.value[..at.value.len() - letters.len()];
    let unit = match letters {
        "" => Some(("Mi", 1 << 20)),
        letters => UNITS.into_iter().find(|unit| unit.0 == letters),
    };
    let Some(((name, factor), count)) = unit.zip(small_number(digits)) else {
        return Err(at.wrong("an amount of memory", "write it such as 512Mi or 2Gi; a bare 512 means 512Mi"));
    };
    let text = match (name, count % 1024) {
        ("Mi", 0) => format!("{}Gi", count / 1024),
        _ => format!("{count}{name}"),
    };
    Ok((text, count * factor))
}

/// 1 to 9999999, without sign or leading zero.
fn small_number(digits: &str) -> Option<u64> {
    let plain = (1..=7).contains(&digits.len())
        && !digits.starts_with('0')
        && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// A label value in the form that Kubernetes accepts.
pub(crate) fn label_value(text: &str) -> String {
    let mapped: String = text
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' => c,
            _ => '-',
        })
        .take(LABEL_CHARS_MAX)
        .collect();
    mapped.trim_matches(|c: char| !c.is_ascii_alphanumeric()).to_owned()
}

/// A namespace that the environment gets for itself. Those of the cluster are
/// not: a quota and policies there would bring it to a halt.
pub(crate) fn namespace(at: &At<String>) -> Result<String, DecodeError> {
    let name = dns_label(at)?;
    let of_the_cluster = name == "default" || name.starts_with("kube-");
    let why = format!("{name} belongs to the cluster itself");
    at.ensure(!of_the_cluster, why, "choose a name of its own, or leave it out")?;
    Ok(name)
}

/// A label key: an optional prefix that is a host name, and a name.
pub(crate) fn label_key(at: &At<String>) -> Result<String, DecodeError> {
    let (prefix, name) = match at.value.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, at.value.as_str()),
    };
    let good_prefix = prefix.is_none_or(|prefix| prefix.len() <= 253 && prefix.split('.').all(is_dns_label));
    let good_name = !name.is_empty() && name.len() <= LABEL_CHARS_MAX && label_value(name) == name;
    at.accept(good_prefix && good_name, "a label key", "write one such as stargate.io/role")
}

/// Whether a label is in a namespace that the cloud keeps for Kubernetes and
/// refuses on nodes.
pub(crate) fn is_reserved_label(key: &str) -> bool {
    key.split_once('/').is_some_and(|(prefix, _)| {
        ["kubernetes.io", "k8s.io"].iter().any(|reserved| {
            prefix.strip_suffix(reserved).is_some_and(|before| before.is_empty() || before.ends_with('.'))
        })
    })
}

/// A display name as a slug: lower case, other characters to hyphens, runs
/// collapsed, trimmed.
pub(crate) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        match c {
            'a'..='z' | '0'..='9' => slug.push(c),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SourceLocation;

    fn at(text: &str) -> At<String> {
        At {
            file: "f.yaml".to_owned(),
            location: SourceLocation::START,
            key: "k".to_owned(),
            value: text.to_owned(),
        }
    }

    #[test]
    fn bare_quantities_are_millicores_and_mebibytes() {
        for (text, expected) in [("200", "200m"), ("200m", "200m"), ("1", "1m")] {
            assert_eq!(cpu(&at(text)).unwrap().0, expected);
        }
        for text in ["", "0", "0.5", "-1", "1e3", "m", "1 m", "99999999", "2cores"] {
            assert!(cpu(&at(text)).is_err(), "{text:?}");
        }
        for (text, expected, bytes) in [
            ("256", "256Mi", 256 << 20),
            ("1024", "1Gi", 1 << 30),
            ("2Gi", "2Gi", 2 << 30),
            ("768Mi", "768Mi", 768 << 20),
            ("5M", "5M", 5_000_000),
        ] {
            assert_eq!(memory(&at(text)).unwrap(), (expected.to_owned(), bytes));
        }
        for text in ["", "0", "1.5Gi", "Gi", "1 Gi", "1gb", "1m", "ü", "9999999999Gi"] {
            assert!(memory(&at(text)).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_slug_is_lower_case_with_single_hyphens() {
        for (text, expected) in [
            ("stargate-t1-20260223", "stargate-t1-20260223"),
            ("Stargate  T1 / Demo!", "stargate-t1-demo"),
            ("--a--", "a"),
            ("ÄÖ", ""),
        ] {
            assert_eq!(slug(text), expected);
        }
    }

    #[test]
    fn labels_are_made_acceptable() {
        for (text, expected) in [
            ("librarian,performance-manager", "librarian-performance-manager"),
            ("all", "all"),
            (",a b,", "a-b"),
            ("", ""),
        ] {
            assert_eq!(label_value(text), expected);
        }
        for key in ["app.kubernetes.io/managed-by", "kubernetes.io/a", "x.k8s.io/b"] {
            assert!(is_reserved_label(key), "{key}");
        }
        for key in ["stargate.io/role", "kubernetes.io", "notkubernetes.io/a"] {
            assert!(!is_reserved_label(key), "{key}");
        }
    }

    #[test]
    fn hostile_values_are_refused() {
        for text in ["", "a b", "../x", "a//b", "x\n", "-a", "a$(b)", "a;b"] {
            assert!(image(&at(text)).is_err(), "image {text:?}");
            assert!(mount_path(&at(text)).is_err(), "path {text:?}");
            assert!(host_name(&at(text)).is_err(), "host {text:?}");
            assert!(mail(&at(text)).is_err(), "mail {text:?}");
            assert!(dns_label(&at(text)).is_err(), "name {text:?}");
            assert!(plan(&at(text)).is_err(), "plan {text:?}");
        }
        assert!(mount_path(&at("/data/../etc")).is_err());
        assert!(host_name(&at("App.Example.org")).is_ok());
        assert!(plan(&at("startup-4")).is_ok());
        assert!(plan(&at("startup")).is_err());
    }
}
