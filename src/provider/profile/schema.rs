//! The JSON Schema of profile files, for editors: what the reader's own types ask a file for.
//!
//! Each type is read from a made-up file that has one of everything and notes what it was asked for, so a key that the reader
//! learns is in the schema. It refuses only what the reader refuses too.

use std::cell::RefCell;
use std::collections::BTreeMap;

use serde::de::value::{BorrowedStrDeserializer, Error};
use serde::de::{
    DeserializeSeed, Deserializer, IntoDeserializer as _, MapAccess, SeqAccess, Visitor,
};
use serde::{Deserialize, forward_to_deserialize_any};
use serde_json::{Map, Value, json};
use toml::Spanned;

use super::raw::{REQUEST_KEYS, RawProfile, RawRequest};

/// What taplo and the editors that use it understand.
pub(crate) const DIALECT: &str = "http://json-schema.org/draft-07/schema#";

/// How the TOML library asks for a value with its place in the file: under the last of three keys.
const SPANNED: &str = "$__serde_spanned_private_Spanned";

/// The schema of every profile file.
pub(crate) fn schema() -> Value {
    let mut tables = asked(None).0;
    for (name, table) in &mut tables {
        let is_required = |key: &&String| asked(Some((*name, key.as_str()))).1.is_err();
        table.required = table
            .properties
            .keys()
            .filter(is_required)
            .cloned()
            .collect();
    }
    let mut definitions: Map<String, Value> = tables
        .into_iter()
        .map(|(name, table)| (definition_of(name), table.schema()))
        .collect();
    let mut schema = definitions
        .remove(&definition_of("RawProfile"))
        .unwrap_or_default();
    if let Some(login) = schema.pointer_mut("/properties/login") {
        *login = login_schema();
    }
    if let Some(example) = definitions.get_mut(&definition_of("RawExample"))
        && let Some(values) = example.pointer_mut("/properties/headers/additionalProperties")
    {
        *values = json!({"type": ["string", "array"], "items": {"type": "string"}});
    }
    if let Value::Object(schema) = &mut schema {
        schema.insert("$schema".to_owned(), DIALECT.into());
        schema.insert(
            "title".to_owned(),
            "A profile of keepfresh: one kind of server".into(),
        );
        schema.insert("definitions".to_owned(), Value::Object(definitions));
    }
    schema
}

/// A request, or one for each grant: as the reader tells them apart.
fn login_schema() -> Value {
    let request = reference("RawRequest");
    let has_a_key: Vec<Value> = REQUEST_KEYS
        .iter()
        .map(|key| json!({"required": [key]}))
        .collect();
    json!({
        "type": "object",
        "if": {"anyOf": has_a_key},
        "then": request,
        "else": {"additionalProperties": request},
    })
}

/// What all types asked for when they were read, without one key of one table where that is said, and whether they took it.
fn asked(without: Option<(&str, &str)>) -> (BTreeMap<&'static str, Table>, Result<(), Error>) {
    let notes = Notes {
        without,
        open: RefCell::default(),
        tables: RefCell::default(),
    };
    let mut whole = Value::Null;
    let read = RawProfile::<Spanned<RawRequest>>::deserialize(Asked {
        notes: &notes,
        schema: &mut whole,
    });
    (notes.tables.into_inner(), read.map(drop))
}

/// One table that a type asks for.
#[derive(Default)]
struct Table {
    properties: Map<String, Value>,
    required: Vec<String>,
}

impl Table {
    fn schema(self) -> Value {
        let mut schema = json!({
            "type": "object",
            "properties": self.properties,
            "additionalProperties": false,
        });
        if let Some(schema) = schema.as_object_mut().filter(|_| !self.required.is_empty()) {
            schema.insert("required".to_owned(), json!(self.required));
        }
        schema
    }
}

fn definition_of(name: &str) -> String {
    name.trim_start_matches("Raw").to_lowercase()
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/definitions/{}", definition_of(name))})
}

/// What was asked for so far.
struct Notes<'w> {
    without: Option<(&'w str, &'w str)>,
    /// The tables that are being read: a request may hold others.
    open: RefCell<Vec<&'static str>>,
    tables: RefCell<BTreeMap<&'static str, Table>>,
}

/// A value of the made-up file; its schema is what is asked of it.
struct Asked<'a> {
    notes: &'a Notes<'a>,
    schema: &'a mut Value,
}

impl<'de> Deserializer<'de> for Asked<'_> {
    type Error = Error;

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u32 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct tuple tuple_struct ignored_any
    }

    /// Anything will do.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({});
        visitor.visit_str("")
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "boolean"});
        visitor.visit_bool(false)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "integer", "minimum": 0, "maximum": u16::MAX});
        visitor.visit_u16(0)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "integer", "minimum": 0});
        visitor.visit_u64(0)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        *self.schema = json!({"type": "string"});
        visitor.visit_str("")
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_string(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.schema = json!({"enum": variants});
        let first = variants.first().copied().unwrap_or_default();
        visitor.visit_enum(BorrowedStrDeserializer::new(first))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut element = Value::Null;
        let read = visitor.visit_seq(One {
            notes: self.notes,
            schema: Some(&mut element),
        });
        *self.schema = json!({"type": "array", "items": element});
        read
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let mut value = Value::Null;
        let read = visitor.visit_map(OneEntry {
            notes: self.notes,
            schema: Some(&mut value),
        });
        *self.schema = json!({"type": "object", "additionalProperties": value});
        read
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        if name == SPANNED {
            return visitor.visit_map(Placed {
                asked: Some(self),
                keys: keys.iter(),
            });
        }
        *self.schema = reference(name);
        let is_open = self.notes.open.borrow().contains(&name);
        self.notes.open.borrow_mut().push(name);
        let read = visitor.visit_map(Entries {
            of: self.notes,
            name,
            keys: if is_open { [].iter() } else { keys.iter() },
        });
        self.notes.open.borrow_mut().pop();
        read
    }
}

/// The keys of a table, each with a value.
struct Entries<'a> {
    of: &'a Notes<'a>,
    name: &'static str,
    keys: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let left_out = |key: &&str| self.of.without == Some((self.name, *key));
        while self.keys.as_slice().first().is_some_and(left_out) {
            self.keys.next();
        }
        match self.keys.as_slice().first() {
            Some(key) => seed.deserialize((*key).into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut schema = Value::Null;
        let read = seed.deserialize(Asked {
            notes: self.of,
            schema: &mut schema,
        });
        if let Some(key) = self.keys.next() {
            let mut tables = self.of.tables.borrow_mut();
            let table = tables.entry(self.name).or_default();
            table.properties.insert((*key).to_owned(), schema);
        }
        read
    }
}

/// A value with its place, which is at the beginning of the made-up file.
struct Placed<'a> {
    asked: Option<Asked<'a>>,
    keys: std::slice::Iter<'static, &'static str>,
}

impl<'de> MapAccess<'de> for Placed<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        match self.keys.next() {
            Some(key) => seed
                .deserialize(BorrowedStrDeserializer::new(key))
                .map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let is_last = self.keys.as_slice().is_empty();
        match self.asked.take_if(|_| is_last) {
            Some(asked) => seed.deserialize(asked),
            None => seed.deserialize(0_usize.into_deserializer()),
        }
    }
}

/// A list of one.
struct One<'a> {
    notes: &'a Notes<'a>,
    schema: Option<&'a mut Value>,
}

impl<'de> SeqAccess<'de> for One<'_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let notes = self.notes;
        match self.schema.take() {
            Some(schema) => seed.deserialize(Asked { notes, schema }).map(Some),
            None => Ok(None),
        }
    }
}

/// A table of one, under a name of the file's own.
struct OneEntry<'a> {
    notes: &'a Notes<'a>,
    schema: Option<&'a mut Value>,
}

impl<'de> MapAccess<'de> for OneEntry<'_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        if self.schema.is_none() {
            return Ok(None);
        }
        let mut text = Value::Null;
        let key = Asked {
            notes: self.notes,
            schema: &mut text,
        };
        seed.deserialize(key).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let mut spare = Value::Null;
        let schema = self.schema.take().unwrap_or(&mut spare);
        seed.deserialize(Asked {
            notes: self.notes,
            schema,
        })
    }
}

#[cfg(test)]
mod tests {
    use jsonschema::Validator;

    use super::super::Profile;
    use super::super::check::read;
    use super::super::compiled_in::COMPILED_IN;
    use super::*;

    #[test]
    fn editors_take_every_profile_that_comes_along() {
        let schema = validator();
        for (name, text) in COMPILED_IN {
            let errors: Vec<String> = schema
                .iter_errors(&as_json(text))
                .map(|error| format!("{}: {error}", error.instance_path))
                .collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
        }
    }

    #[test]
    fn editors_know_what_a_profile_must_have_and_the_words_that_it_may_use() {
        let schema = schema();
        assert_eq!(
            schema["required"],
            json!(["name", "protocol", "title", "window"])
        );
        assert_eq!(
            schema["properties"]["protocol"],
            json!({"enum": ["oauth2", "http", "command"]})
        );
        assert_eq!(
            schema["definitions"]["answer"]["required"],
            json!(["verdict"])
        );
        let step = &schema["definitions"]["request"]["properties"]["step"];
        assert_eq!(step["items"], reference("RawRequest"));
    }

    /// A slip in a file: what was written instead, and what of.
    struct Slip {
        what: String,
        file: toml::Value,
    }

    #[test]
    fn a_slip_in_any_key_of_any_profile_is_refused_by_editors_and_by_the_reader_alike() {
        let schema = validator();
        let of_all: Vec<(usize, Vec<String>)> = std::thread::scope(|scope| {
            let halves = COMPILED_IN.chunks(COMPILED_IN.len().div_ceil(2));
            let judged: Vec<_> = halves
                .map(|half| scope.spawn(|| disagreements(&schema, half)))
                .collect();
            judged
                .into_iter()
                .map(|half| half.join().unwrap())
                .collect()
        });
        let judged: usize = of_all.iter().map(|(judged, _)| judged).sum();
        let disagreements: Vec<String> = of_all
            .into_iter()
            .flat_map(|(_, of_half)| of_half)
            .collect();
        assert!(judged > 15_000, "{judged}");
        assert!(
            disagreements.is_empty(),
            "{} of {judged}:\n{}",
            disagreements.len(),
            disagreements.join("\n")
        );
    }

    fn disagreements(schema: &Validator, profiles: &[(&str, &str)]) -> (usize, Vec<String>) {
        let (mut judged, mut disagreements) = (0, Vec::new());
        for (name, text) in profiles {
            for Slip { what, file } in slips(&toml::from_str(text).unwrap()) {
                judged += 1;
                let written = toml::to_string(&file).unwrap();
                let edited = !schema.is_valid(&serde_json::to_value(&file).unwrap());
                let of_a_form = read(&written).err().map(|wrong| wrong.message);
                // Its rules come after its types, and take longer.
                let is_read = || Profile::parse(&written, name, name).is_ok();
                if of_a_form.is_some() != edited && (!edited || is_read()) {
                    disagreements.push(format!(
                        "{name}: {what}: editors refuse: {edited}, the reader: {of_a_form:?}"
                    ));
                }
            }
        }
        (judged, disagreements)
    }

    /// Each key once misspelt, once missing, and once of other types; of the tables of a list, those of the first. An empty
    /// list is left out: the reader takes it for an empty table.
    fn slips(file: &toml::Value) -> Vec<Slip> {
        let mut slips = Vec::new();
        for path in paths(file) {
            let (last, table) = path.split_last().unwrap();
            let what = path.join(".");
            let mut slip = |how: &str, change: &dyn Fn(&mut toml::Table)| {
                let mut file = file.clone();
                change(table_at(&mut file, table));
                slips.push(Slip {
                    what: format!("{what} {how}"),
                    file,
                });
            };
            slip("misspelt", &|table| {
                let value = table.remove(last).unwrap();
                table.insert(format!("{last}x"), value);
            });
            slip("missing", &|table| drop(table.remove(last)));
            for other in [
                toml::Value::Integer(5),
                toml::Value::String("2h".to_owned()),
                toml::Value::Array(vec![toml::Value::Integer(5)]),
                toml::Value::Table(toml::Table::new()),
            ] {
                slip(&format!("as {other}"), &|table| {
                    table.insert(last.clone(), other.clone());
                });
            }
        }
        slips
    }

    /// The way to each key: names of tables, the first element where one is a list.
    fn paths(value: &toml::Value) -> Vec<Vec<String>> {
        let mut found = Vec::new();
        let first = value.as_array().map_or(Some(value), |all| all.first());
        let table = first.and_then(toml::Value::as_table);
        for (key, value) in table.into_iter().flatten() {
            found.push(vec![key.clone()]);
            let below = paths(value).into_iter();
            found.extend(below.map(|path| [vec![key.clone()], path].concat()));
        }
        found
    }

    fn table_at<'v>(file: &'v mut toml::Value, path: &[String]) -> &'v mut toml::Table {
        let mut value = file;
        for key in path {
            value = value.as_table_mut().unwrap().get_mut(key).unwrap();
            if let toml::Value::Array(elements) = value {
                value = elements.first_mut().unwrap();
            }
        }
        value.as_table_mut().unwrap()
    }

    fn validator() -> Validator {
        jsonschema::draft7::new(&schema()).unwrap()
    }

    fn as_json(text: &str) -> Value {
        serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap()
    }
}
