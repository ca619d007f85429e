//! Decodes the XML of object storage.
//!
//! Input is hostile: a document type is refused, so there are no entities to
//! expand, unknown elements are skipped without recursion, and the depth is
//! that of the decoded types.

use exokit_model::text::excerpt;
use serde::de::DeserializeOwned;

/// The error for a document that is well-formed, but not of a form that object
/// storage sends.
pub(crate) fn unusable(why: &str) -> String {
    format!("the XML cannot be used: {why}")
}

/// Decodes a document with exactly one root element, whose name selects the
/// variant of the enum `T`.
///
/// # Errors
/// Says in words why the text is not such a document.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("the XML is not UTF-8: {error}"))?;
    if text.contains("<!DOCTYPE") {
        return Err(unusable("it has a document type"));
    }
    let mut roots: Vec<T> = quick_xml::de::from_str(text)
        .map_err(|error| format!("the XML cannot be decoded: {}", excerpt(&error)))?;
    match (roots.pop(), roots.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err(unusable("it does not consist of one element")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Root {
        A { b: Vec<String> },
    }

    #[test]
    fn names_lose_their_namespace_and_text_its_escapes() {
        let text =
            br#"<?xml version="1.0"?><s:a xmlns:s="x"><b> a&amp;b &#x1;<![CDATA[<c>]]></b><b/><c><d/></c></s:a>
            "#;
        let b = vec![" a&b \u{1}<c>".to_owned(), String::new()];
        assert_eq!(decode::<Root>(text).unwrap(), Root::A { b });
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
        for text in [
            "",
            "text",
            "<a>",
            "</a>",
            "<a></b>",
            "<b/>",
            "<a><b/></a><a><b/></a>",
            "<a><b/></a>text",
            "<a><b>&undefined;</b></a>",
            "<a><b>&#0;</b></a>",
            "<a><b><c/></b></a>",
            r#"<!DOCTYPE a [<!ENTITY x "y">]><a><b>&x;</b></a>"#,
            "<!DOCTYPE a><a><b/></a>",
            &deep,
        ] {
            assert!(decode::<Root>(text.as_bytes()).is_err(), "{text}");
        }
        assert!(decode::<Root>(b"<a><b>\xff</b></a>").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[<>/&;!\\[\\]a-c\"=?# -]{0,60}", bytes: Vec<u8>) {
            let _ = decode::<Root>(text.as_bytes());
            let _ = decode::<Root>(&bytes);
        }
    }
}
