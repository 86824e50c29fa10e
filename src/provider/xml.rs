//! Places in an XML answer, named by elements.

use std::fmt;

use roxmltree::{Document, Node};
use thiserror::Error;

/// `response/sessionKey`, `//code`, `login/@token`: local names from the root down, namespaces aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct XmlPath {
    /// The first element may be at any depth.
    anywhere: bool,
    elements: Vec<String>,
    attribute: Option<String>,
}

/// Why a text is no path.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`{0}` is no path into XML: write elements as in `response/sessionKey`, `//code` or `login/@token`"
)]
pub(super) struct BadPath(String);

/// As it is written.
impl fmt::Display for XmlPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = if self.anywhere { "//" } else { "" };
        let attribute = self
            .attribute
            .as_ref()
            .map(|name| format!("/@{name}"))
            .unwrap_or_default();
        write!(f, "{start}{}{attribute}", self.elements.join("/"))
    }
}

impl XmlPath {
    pub(super) fn parse(text: &str) -> Result<Self, BadPath> {
        let (anywhere, path) = text
            .strip_prefix("//")
            .map_or((false, text), |rest| (true, rest));
        let path = path.strip_prefix('/').unwrap_or(path);
        let mut elements: Vec<String> = path.split('/').map(str::to_owned).collect();
        let attribute = elements
            .pop_if(|last| last.starts_with('@'))
            .map(|last| last[1..].to_owned());
        let named = |name: &String| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|char| char.is_alphanumeric() || "-_.".contains(char))
        };
        if elements.is_empty() || !elements.iter().chain(&attribute).all(named) {
            return Err(BadPath(text.to_owned()));
        }
        Ok(Self {
            anywhere,
            elements,
            attribute,
        })
    }

    /// The text of the first element (or attribute) there; none when the body is no XML, has a DTD, or lacks the place.
    pub(super) fn find(&self, body: &str) -> Option<String> {
        let document = Document::parse(body.trim_start_matches('\u{feff}')).ok()?;
        let root = document.root_element();
        let mut candidates: Box<dyn Iterator<Item = Node<'_, '_>>> = if self.anywhere {
            Box::new(root.descendants())
        } else {
            Box::new(std::iter::once(root))
        };
        candidates.find_map(|node| self.value(node))
    }

    fn value(&self, start: Node<'_, '_>) -> Option<String> {
        let (first, rest) = self.elements.split_first()?;
        let found = descend(start, first, rest)?;
        match &self.attribute {
            Some(name) => found
                .attributes()
                .find(|known| known.name() == name)
                .map(|known| known.value().to_owned()),
            None => Some(
                found
                    .descendants()
                    .filter(Node::is_text)
                    .filter_map(|text| text.text())
                    .collect(),
            ),
        }
    }
}

fn descend<'a, 'input>(
    node: Node<'a, 'input>,
    name: &str,
    rest: &[String],
) -> Option<Node<'a, 'input>> {
    if !node.is_element() || node.tag_name().name() != name {
        return None;
    }
    match rest.split_first() {
        None => Some(node),
        Some((next, rest)) => node.children().find_map(|child| descend(child, next, rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_found_by_local_names_from_the_root_or_at_any_depth() {
        let body = r#"<?xml version="1.0"?><r xmlns:s="urn:x"><s:key id="7">a&amp;b</s:key><deep><code>C1</code></deep><code>C2</code></r>"#;
        for (path, expected) in [
            ("r/key", Some("a&b")),
            ("/r/key", Some("a&b")),
            ("r/key/@id", Some("7")),
            ("//code", Some("C1")),
            ("//deep/code", Some("C1")),
            ("r/code", Some("C2")),
            ("key", None),
            ("r/key/@missing", None),
        ] {
            assert_eq!(
                XmlPath::parse(path).unwrap().find(body).as_deref(),
                expected,
                "{path}"
            );
        }
    }

    #[test]
    fn what_is_no_xml_or_brings_entities_of_its_own_has_no_places() {
        let bomb = r#"<!DOCTYPE r [<!ENTITY a "aaaa">]><r>&a;</r>"#;
        for body in ["", "{}", "<r>", bomb] {
            assert_eq!(XmlPath::parse("r").unwrap().find(body), None, "{body}");
        }
    }

    #[test]
    fn what_is_no_path_is_said() {
        for path in ["", "/", "//", "a//b", "@id", "a b", "a/@", "a[1]"] {
            assert!(XmlPath::parse(path).is_err(), "{path}");
        }
    }
}
