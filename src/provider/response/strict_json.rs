//! JSON in which a key may stand once only: of two access tokens, nobody can say which one is meant.
//!
//! What a value takes in memory is up to fifty times what it takes on the wire, so the number of them is bounded too.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Of a list, nobody asks for more than the first elements; the others are only checked for being JSON.
const LONGEST_LIST: usize = 256;

/// A list of so many whole users, say, has fewer.
const MOST_VALUES: usize = 16 * 1024;

/// `text` as JSON, of each list the first 256 elements; none when it is not, nests deeper than 128, has a key twice in
/// one object, or more than 16,384 values.
pub(super) fn parse(text: &str) -> Option<Value> {
    let left = Cell::new(MOST_VALUES);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = Strict { left: &left }.deserialize(&mut deserializer).ok()?;
    deserializer.end().ok()?;
    Some(value)
}

/// Reads one value; says how many more there may be.
#[derive(Clone, Copy)]
struct Strict<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.left.set(self.left.get().checked_sub(1).ok_or_else(|| D::Error::custom("too many values"))?);
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
            let Some(element) = access.next_element_seed(self)? else { return Ok(Value::Array(elements)) };
            elements.push(element);
        }
        while access.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(self)?;
            if members.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice"));
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
    fn a_key_may_stand_once() {
        assert_eq!(parse(r#"{"a":[1,-2,2.5,"x",null,true]}"#), Some(json!({"a": [1, -2, 2.5, "x", null, true]})));
        assert_eq!(parse(r#"{"a":1,"a":2}"#), None);
        assert_eq!(parse(r#"[{"b":{"a":1,"a":1}}]"#), None);
        assert_eq!(parse(r#"{"a":1} trailing"#), None);
        assert_eq!(parse(&"[".repeat(100_000)), None);
    }

    #[test]
    fn an_answer_of_many_small_values_takes_no_fifty_times_its_length() {
        let long_list = format!("{{\"access_token\":\"a\",\"list\":[{}1]}}", "1,".repeat(100_000));
        let parsed = parse(&long_list).unwrap();
        assert_eq!(parsed["access_token"], "a");
        assert_eq!(parsed["list"].as_array().unwrap().len(), LONGEST_LIST);
        let lists = format!("[{}[]]", format!("[{}1],", "1,".repeat(300)).repeat(100));
        assert_eq!(parse(&lists), None);
        let members: Vec<String> = (0..MOST_VALUES).map(|key| format!("\"{key}\":1")).collect();
        assert_eq!(parse(&format!("{{{}}}", members.join(","))), None);
        assert!(parse(&format!("[{}", "1,".repeat(1000))).is_none(), "the elements that are left out are JSON too");
    }

    proptest! {
        #[test]
        fn whatever_it_accepts_is_json(text in ".{0,200}") {
            let strict = parse(&text);
            prop_assert!(strict.is_none() || strict == serde_json::from_str(&text).ok());
        }
    }
}
