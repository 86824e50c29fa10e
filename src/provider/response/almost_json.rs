//! What is almost JSON, as JSON: what programs write that put their answers together by hand or by a loose library, and that
//! other clients read.

/// What some servers begin with so that no page can load their answer as a script.
const NO_SCRIPT: &str = ")]}'";

/// `text` with each habit replaced by what was meant; anything else is left for the parser to refuse.
///
/// - A control character is a blank: programs in C send the NUL at the end of their text, others a line break in a string.
/// - `NaN` and `Infinity`, as Python writes them, are null.
/// - A comma after the last value, and a comment, say nothing.
/// - Half of a surrogate pair, of a text that was cut within a character, is the replacement character; an escape that JSON
///   does not know means the character itself.
pub(super) fn as_json(text: &str) -> String {
    let mut rest = text.trim_start();
    if let Some(after) = rest.strip_prefix(NO_SCRIPT) {
        rest = after.strip_prefix(',').unwrap_or(after);
    }
    let mut json = String::with_capacity(text.len());
    while let Some(next) = rest.chars().next() {
        rest = match next {
            '"' => string(rest, &mut json),
            'N' | 'I' | '-' => number(rest, &mut json),
            '/' => comment(rest, &mut json),
            ']' | '}' => {
                let before = json.trim_end();
                if let Some(before) = before.strip_suffix(',') {
                    json.truncate(before.len());
                }
                one(rest, &mut json)
            }
            _ => one(rest, &mut json),
        };
    }
    json
}

/// Takes one character, a control character as a blank.
fn one<'a>(text: &'a str, json: &mut String) -> &'a str {
    let mut chars = text.chars();
    if let Some(char) = chars.next() {
        json.push(if char.is_ascii_control() { ' ' } else { char });
    }
    chars.as_str()
}

fn number<'a>(text: &'a str, json: &mut String) -> &'a str {
    for name in ["NaN", "Infinity", "-Infinity"] {
        if let Some(rest) = text.strip_prefix(name) {
            json.push_str("null");
            return rest;
        }
    }
    one(text, json)
}

fn comment<'a>(text: &'a str, json: &mut String) -> &'a str {
    if let Some(rest) = text.strip_prefix("//") {
        return rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    match text
        .strip_prefix("/*")
        .and_then(|rest| rest.split_once("*/"))
    {
        Some((_, rest)) => rest,
        None => one(text, json),
    }
}

/// Takes a string with both of its quotation marks, or up to the end of a text that breaks off.
fn string<'a>(text: &'a str, json: &mut String) -> &'a str {
    let mut rest = one(text, json);
    while let Some(next) = rest.chars().next() {
        match next {
            '"' => return one(rest, json),
            '\\' => rest = escape(rest, json),
            _ => rest = one(rest, json),
        }
    }
    rest
}

fn escape<'a>(text: &'a str, json: &mut String) -> &'a str {
    let mut after = text.chars();
    after.next();
    match after.next() {
        Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => one(one(text, json), json),
        Some('u') => unit(text, json),
        // An unknown escape means its character, and the mark alone would escape the string's end.
        Some(_) => one(text.get(1..).unwrap_or_default(), json),
        None => "",
    }
}

/// Takes the escape of one UTF-16 code unit, or of a pair that is one character.
fn unit<'a>(text: &'a str, json: &mut String) -> &'a str {
    let Some(first) = code_unit(text) else {
        return one(one(text, json), json);
    };
    let rest = text.get(6..).unwrap_or_default();
    let (taken, rest) = match (first, code_unit(rest)) {
        (0xd800..=0xdbff, Some(0xdc00..=0xdfff)) => (text.get(..12), text.get(12..)),
        (0xd800..=0xdfff, _) => (Some("\\ufffd"), Some(rest)),
        _ => (text.get(..6), Some(rest)),
    };
    json.push_str(taken.unwrap_or_default());
    rest.unwrap_or_default()
}

/// The number in `\uXXXX` at the start of `text`.
fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let all_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    all_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn each_habit_means_what_other_clients_take_it_for() {
        for (text, expected) in [
            ("{\"a\":1}\0\0", json!({"a": 1})),
            ("{\"a\":\"x\ny\"}", json!({"a": "x y"})),
            (
                "{\"a\":NaN,\"b\":-Infinity,\"c\":[Infinity]}",
                json!({"a": null, "b": null, "c": [null]}),
            ),
            (
                "{\"a\":\"NaN, -Infinity\",\"b\":-1}",
                json!({"a": "NaN, -Infinity", "b": -1}),
            ),
            ("{\"a\":[1,2, ],}", json!({"a": [1, 2]})),
            ("{\"a\":\",]\"}", json!({"a": ",]"})),
            ("/* made by hand */{\"a\":1 // one\n}", json!({"a": 1})),
            ("{\"a\":\"https://x/*y*/\"}", json!({"a": "https://x/*y*/"})),
            (")]}',\n{\"a\":1}", json!({"a": 1})),
            (")]}'\n{\"a\":1}", json!({"a": 1})),
            (r#"{"a":"\ud83d"}"#, json!({"a": "\u{fffd}"})),
            (
                r#"{"a":"x\ude00y\ud83d\u0041"}"#,
                json!({"a": "x\u{fffd}y\u{fffd}A"}),
            ),
            (r#"{"a":"\ud83d\ude00\u00e9"}"#, json!({"a": "😀é"})),
            (
                r#"{"a":"it\'s \$5","b":"\\","c":"\""}"#,
                json!({"a": "it's $5", "b": "\\", "c": "\""}),
            ),
        ] {
            let read = serde_json::from_str(&as_json(text)).unwrap_or(Value::Null);
            assert_eq!(read, expected, "{text:?}");
        }
    }

    #[test]
    fn what_breaks_off_stays_broken() {
        for text in [
            "{\"a\":\"x",
            "{\"a\":\"x\\",
            "{\"a\":1",
            "{\"a\":\"\\u00",
            "/* {\"a\":1}",
            "{\"a\":1}}",
            "",
        ] {
            assert!(
                serde_json::from_str::<Value>(&as_json(text)).is_err(),
                "{text:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(keys in proptest::collection::btree_map("\\PC{0,6}", "\\PC{0,8}", 0..8)) {
            let text = serde_json::to_string(&keys).unwrap();
            prop_assert_eq!(as_json(&text), text);
        }

        #[test]
        fn any_text_has_an_end(text in "[\\[\\]{}:,/*\\\\\"u0-9d\\x00 ]{0,60}|\\PC{0,60}") {
            as_json(&text);
        }
    }
}
