//! Reads the XML of object storage into a small tree.
//!
//! The tree keeps names without namespace, text and children, and nothing
//! else. Unknown elements stay in it unread. A document type is refused, so
//! there are no entities to expand, and depth is limited, so a hostile reply
//! costs no more than its own length.

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

/// Deepest nesting accepted; the replies in use have four levels.
const DEPTH_MAX: usize = 16;

/// Why a text is not a usable XML document.
#[derive(Debug, thiserror::Error)]
pub enum XmlError {
    /// It is not UTF-8.
    #[error("the XML is not UTF-8")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is not well-formed.
    #[error("the XML is not well-formed")]
    Syntax(#[from] quick_xml::Error),
    /// It is well-formed, but not of a form that object storage sends.
    #[error("the XML cannot be used: {0}")]
    Form(&'static str),
    /// An element that must be there is not.
    #[error("the XML has no element {0}")]
    Missing(&'static str),
}

/// One element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) text: String,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Parses a document with exactly one root element.
    pub(crate) fn parse(body: &[u8]) -> Result<Element, XmlError> {
        let mut reader = Reader::from_str(std::str::from_utf8(body)?);
        // The bottom of the stack stands for the document.
        let mut open = vec![Element::default()];
        loop {
            match reader.read_event()? {
                Event::Start(start) => {
                    if open.len() > DEPTH_MAX {
                        return Err(XmlError::Form("it is nested too deeply"));
                    }
                    open.push(Element::named(start.local_name().as_ref()));
                }
                Event::Empty(start) => {
                    top(&mut open)?.children.push(Element::named(start.local_name().as_ref()));
                }
                Event::End(_) => {
                    let done = open.pop().ok_or(XmlError::Form("an element ends twice"))?;
                    top(&mut open)?.children.push(done);
                }
                Event::Text(text) => top(&mut open)?.text.push_str(&text),
                Event::CData(text) => top(&mut open)?.text.push_str(&text),
                Event::GeneralRef(reference) => {
                    let text = &mut top(&mut open)?.text;
                    match reference.resolve_char_ref()? {
                        Some(character) => text.push(character),
                        None => text.push_str(
                            resolve_xml_entity(&reference)
                                .ok_or(XmlError::Form("it refers to an entity of its own"))?,
                        ),
                    }
                }
                Event::DocType(_) => return Err(XmlError::Form("it has a document type")),
                Event::Eof => break,
                Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            }
        }
        let mut document = open.pop().unwrap_or_default();
        match (open.is_empty(), document.children.pop(), document.children.is_empty()) {
            (true, Some(root), true) => Ok(root),
            (true, None, _) => Err(XmlError::Form("it is empty")),
            _ => Err(XmlError::Form("it does not consist of one complete element")),
        }
    }

    fn named(name: &str) -> Element {
        Element { name: name.to_owned(), ..Element::default() }
    }

    /// Every child of that name.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Text of the first child of that name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.children.iter().find(|child| child.name == name).map(|child| child.text.as_str())
    }

    /// Text of the first child of that name, which must be there.
    pub(crate) fn need(&self, name: &'static str) -> Result<&str, XmlError> {
        self.get(name).ok_or(XmlError::Missing(name))
    }
}

fn top(open: &mut [Element]) -> Result<&mut Element, XmlError> {
    open.last_mut().ok_or(XmlError::Form("it goes on after its end"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_lose_their_namespace_and_text_its_escapes() {
        let text = br#"<?xml version="1.0"?><s:A xmlns:s="x"><B>a&amp;b &#x1;<![CDATA[<c>]]></B><B/></s:A>"#;
        let root = Element::parse(text).unwrap();
        assert_eq!((root.name.as_str(), root.get("B")), ("A", Some("a&b \u{1}<c>")));
        assert_eq!(root.all("B").count(), 2);
        assert!(root.need("C").is_err());
    }

    #[test]
    fn hostile_documents_are_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        for text in [
            "",
            "text",
            "<a>",
            "</a>",
            "<a></b>",
            "<a/><b/>",
            "<a>&undefined;</a>",
            "<a>&#0;</a>",
            r#"<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>"#,
            &deep,
        ] {
            assert!(Element::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Element::parse(b"<a>\xff</a>").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[<>/&;!\\[\\]a-c\"=?# -]{0,60}", bytes: Vec<u8>) {
            let _ = Element::parse(text.as_bytes());
            let _ = Element::parse(&bytes);
        }
    }
}
