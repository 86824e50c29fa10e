//! JSON as servers write it. A key that occurs twice holds a list of its values, so that of two access tokens none is taken:
//! which one is meant cannot be told.
//!
//! What a value takes in memory is up to fifty times what it takes on the wire, so the number of them is bounded too.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;

use serde::de::{
    Deserialize as _, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use serde_json::map::{Entry, Map};
use serde_json::{Number, Value};

use super::almost_json;

/// Of a list, rules ask for no more than the first elements; the others are only checked for being JSON.
const LONGEST_LIST: usize = 256;

/// What lies deeper counts as null.
const DEEPEST: usize = 64;

/// A list of so many whole users, say, has fewer.
const MOST_VALUES: usize = 16 * 1024;

/// `text` as JSON, of each list the first 256 elements, down to 64 levels; none when it is not JSON, or has more than 16,384
/// values. What is almost JSON is read as what was meant.
pub(super) fn parse(text: &str) -> Option<Value> {
    read(text).or_else(|| read(&almost_json::as_json(text)))
}

fn read(text: &str) -> Option<Value> {
    let left = Cell::new(MOST_VALUES);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let strict = Strict {
        left: &left,
        depth: 0,
    };
    let value = strict.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Reads one value; says how many more there may be, and how deep it lies.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: &'a Cell<usize>,
    depth: usize,
}

impl Strict<'_> {
    fn below(self) -> Self {
        Self {
            depth: self.depth + 1,
            ..self
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(
            self.left
                .get()
                .checked_sub(1)
                .ok_or_else(|| D::Error::custom("too many values"))?,
        );
        if self.depth > DEEPEST {
            IgnoredAny::deserialize(deserializer)?;
            return Ok(Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        while elements.len() < LONGEST_LIST {
            let Some(element) = access.next_element_seed(self.below())? else {
                return Ok(Value::Array(elements));
            };
            elements.push(element);
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let (mut members, mut repeated) = (Map::new(), BTreeSet::new());
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self.below())?;
            match members.entry(key) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(same) if *same.get() == value => {}
                Entry::Occupied(mut other) => {
                    let is_first = repeated.insert(other.key().clone());
                    let held = other.get_mut();
                    if is_first {
                        *held = Value::Array(vec![held.take()]);
                    }
                    if let Some(values) = held.as_array_mut() {
                        values.push(value);
                    }
                }
            }
        }
        Ok(Value::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_key_that_stands_twice_holds_all_that_it_was_given() {
        for (text, expected) in [
            (
                r#"{"a":[1,-2,2.5,"x",null,true]}"#,
                json!({"a": [1, -2, 2.5, "x", null, true]}),
            ),
            (r#"{"a":1,"b":2,"a":1,"a":1}"#, json!({"a": 1, "b": 2})),
            (r#"{"a":1,"a":2}"#, json!({"a": [1, 2]})),
            (
                r#"{"a":1,"a":2,"a":[3],"a":1}"#,
                json!({"a": [1, 2, [3], 1]}),
            ),
            (r#"{"a":[1],"a":[1,2]}"#, json!({"a": [[1], [1, 2]]})),
            (
                r#"[{"b":{"a":1,"a":null}}]"#,
                json!([{"b": {"a": [1, null]}}]),
            ),
        ] {
            assert_eq!(parse(text), Some(expected), "{text}");
        }
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }

    #[test]
    fn what_lies_too_deep_costs_nothing_beside_it() {
        let deep = format!("{}1{}", "[".repeat(500), "]".repeat(500));
        let read = parse(&format!("{{\"a\":1,\"b\":{deep},\"c\":2}}")).unwrap();
        assert_eq!((&read["a"], &read["c"]), (&json!(1), &json!(2)));
        assert_eq!(parse(&format!("{{\"a\":1,\"b\":{}", "[".repeat(500))), None);
    }

    #[test]
    fn a_nul_at_the_end_and_a_line_break_within_a_text_are_blanks() {
        for (text, expected) in [
            ("{\"a\":1}\0", json!({"a": 1})),
            ("{\"a\":1}\0\0\r\n", json!({"a": 1})),
            ("{\"a\":\"x\ny\"}", json!({"a": "x y"})),
            ("{\"a\":\"x\\ny\"}\0", json!({"a": "x\ny"})),
        ] {
            assert_eq!(parse(text), Some(expected), "{text:?}");
        }
        for text in [
            r#"{"a":1} trailing"#,
            "{\"a\":1}\0{}",
            "{\"a\":\0",
            "\0",
            "",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn an_answer_of_many_small_values_takes_no_fifty_times_its_length() {
        let long_list = format!(
            "{{\"access_token\":\"a\",\"list\":[{}1]}}",
            "1,".repeat(100_000)
        );
        let parsed = parse(&long_list).unwrap();
        assert_eq!(parsed["access_token"], "a");
        assert_eq!(parsed["list"].as_array().unwrap().len(), LONGEST_LIST);
        let lists = format!("[{}[]]", format!("[{}1],", "1,".repeat(300)).repeat(100));
        assert_eq!(parse(&lists), None);
        let members: Vec<String> = (0..MOST_VALUES).map(|key| format!("\"{key}\":1")).collect();
        assert_eq!(parse(&format!("{{{}}}", members.join(","))), None);
        assert!(
            parse(&format!("[{}", "1,".repeat(1000))).is_none(),
            "the elements that are left out are JSON too"
        );
    }

    proptest! {
        #[test]
        fn whatever_it_accepts_is_json(text in "[^\\x00-\\x1f\\x7f]{0,200}|[\\[\\]{}:,0-9ab\" -]{0,40}") {
            prop_assert!(read(&text).is_none() || serde_json::from_str::<Value>(&text).is_ok());
        }

        #[test]
        fn what_names_no_key_twice_is_taken_as_it_is(keys in proptest::collection::btree_map("[a-z]{1,3}", "\\PC{0,8}", 0..8)) {
            let text = serde_json::to_string(&keys).unwrap();
            prop_assert_eq!(parse(&text), serde_json::from_str(&text).ok());
        }
    }
}
