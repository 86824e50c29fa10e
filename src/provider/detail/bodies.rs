//! Bodies of every kind as members with names: JSON, forms and XML; and what the head of a page says.

use std::borrow::Cow;

use roxmltree::{Document, Node};
use serde_json::{Map, Value};

use crate::provider::response::Response;

/// What is longer is no error.
const LONGEST: usize = 64 * 1024;
const DEEPEST: usize = 8;

/// The members of the body; none where it is of another kind.
pub(super) fn members(response: &Response) -> Option<Cow<'_, Value>> {
    if let Some(json) = &response.json {
        return Some(Cow::Borrowed(json));
    }
    let text = response.text.trim();
    if text.len() > LONGEST || response.is_html() || response.encoding().is_some() {
        return None;
    }
    let read = if text.starts_with('<') {
        xml(text)
    } else {
        json(text)
    };
    read.map(Cow::Owned)
}

/// What was not read strictly may still say something: a name that occurs twice, say.
fn json(text: &str) -> Option<Value> {
    let value = text
        .starts_with(['{', '['])
        .then(|| serde_json::from_str(text).ok())
        .flatten();
    value.filter(|value: &Value| value.is_object() || value.is_array())
}

fn xml(text: &str) -> Option<Value> {
    let document = Document::parse(text).ok()?;
    let root = document.root_element();
    Some(Value::Object(Map::from_iter([(
        root.tag_name().name().to_owned(),
        element(root, 0),
    )])))
}

/// Attributes and elements alike; a name that occurs twice is a list.
fn element(node: Node<'_, '_>, depth: usize) -> Value {
    let mut members = Map::new();
    for attribute in node.attributes() {
        members.insert(attribute.name().to_owned(), attribute.value().into());
    }
    for child in node
        .children()
        .filter(|child| child.is_element() && depth < DEEPEST)
    {
        let value = element(child, depth + 1);
        let name = child.tag_name().name().to_owned();
        match members.get_mut(&name) {
            Some(Value::Array(others)) => others.push(value),
            Some(other) => *other = Value::Array(vec![other.take(), value]),
            None => {
                members.insert(name, value);
            }
        }
    }
    let text: String = node
        .children()
        .filter(Node::is_text)
        .filter_map(|text| text.text())
        .collect();
    let text = text.trim();
    match members.is_empty() {
        true => text.into(),
        false if text.is_empty() => Value::Object(members),
        false => {
            members.insert("message".to_owned(), text.into());
            Value::Object(members)
        }
    }
}

/// The title of a page for people.
pub(super) fn title(page: &str) -> Option<String> {
    let head: String = page.chars().take(LONGEST).collect();
    let lower = head.to_ascii_lowercase();
    let begin = lower.find("<title")?;
    let begin = begin + lower.get(begin..)?.find('>')? + 1;
    let end = begin + lower.get(begin..)?.find("</title")?;
    let title = head
        .get(begin..end)?
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    (!title.is_empty()).then_some(title)
}
