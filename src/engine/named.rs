//! A few values by name, which take no more memory than they need: thousands of sessions hold some each.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// In the order of their names, each of which is there once. Made for a dozen: to add one costs a copy of all.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Named<V>(Box<[(Arc<str>, V)]>);

impl<V> Named<V> {
    /// The value of this name.
    pub fn get(&self, name: &str) -> Option<&V> {
        let place = self
            .0
            .binary_search_by(|(known, _)| (**known).cmp(name))
            .ok()?;
        self.0.get(place).map(|(_, value)| value)
    }

    /// Whether there is one of this name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &V)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// The values, in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Puts `value` under this name, in the place of what was there.
    pub fn insert(&mut self, name: impl Into<Arc<str>>, value: V) {
        self.extend([(name.into(), value)]);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<V> Default for Named<V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

/// The later of two of one name is taken.
impl<V, N: Into<Arc<str>>> Extend<(N, V)> for Named<V> {
    fn extend<T: IntoIterator<Item = (N, V)>>(&mut self, later: T) {
        let mut all = std::mem::take(&mut self.0).into_vec();
        for (name, value) in later {
            let name = name.into();
            match all.binary_search_by(|(known, _)| known.cmp(&name)) {
                Ok(place) => {
                    if let Some(known) = all.get_mut(place) {
                        known.1 = value;
                    }
                }
                Err(place) => all.insert(place, (name, value)),
            }
        }
        self.0 = all.into();
    }
}

impl<V, N: Into<Arc<str>>> FromIterator<(N, V)> for Named<V> {
    fn from_iter<T: IntoIterator<Item = (N, V)>>(all: T) -> Self {
        let mut named = Self::default();
        named.extend(all);
        named
    }
}

impl<V, N: Into<Arc<str>>, const COUNT: usize> From<[(N, V); COUNT]> for Named<V> {
    fn from(all: [(N, V); COUNT]) -> Self {
        all.into_iter().collect()
    }
}

impl<V> IntoIterator for Named<V> {
    type Item = (Arc<str>, V);
    type IntoIter = std::vec::IntoIter<(Arc<str>, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_vec().into_iter()
    }
}

impl<V: fmt::Debug> fmt::Debug for Named<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// As a map.
impl<V: Serialize> Serialize for Named<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Named<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

struct Entries<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
    type Value = Named<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Named<V>, A::Error> {
        let mut all = Vec::new();
        while let Some(entry) = map.next_entry::<String, V>()? {
            all.push(entry);
        }
        Ok(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_again_are_shown_as_a_map_and_read_from_nothing_else() {
        let named: Named<u32> = [("b".to_owned(), 2), ("a".to_owned(), 1)]
            .into_iter()
            .collect();
        assert_eq!(format!("{named:?}"), "{\"a\": 1, \"b\": 2}");
        let error = serde_json::from_str::<Named<u32>>("[1]")
            .unwrap_err()
            .to_string();
        assert!(error.contains("a map"), "{error}");
        let values: Vec<u32> = named.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [1, 2]);
    }

    #[test]
    fn values_are_found_by_name_and_stand_in_its_order() {
        let named = Named::from([("b", 2), ("a", 1), ("c", 3)]);
        assert_eq!(
            named.iter().collect::<Vec<_>>(),
            [("a", &1), ("b", &2), ("c", &3)]
        );
        assert_eq!(
            named.keys().zip(named.values()).collect::<Vec<_>>(),
            named.iter().collect::<Vec<_>>()
        );
        assert_eq!(
            (named.get("b"), named.get("bb"), named.get("")),
            (Some(&2), None, None)
        );
        assert!(named.contains_key("c") && !named.contains_key("d") && !named.is_empty());
        assert!(Named::<u8>::default().is_empty());
    }

    #[test]
    fn the_later_of_two_of_one_name_is_taken() {
        let mut named = Named::from([("a", 1), ("a", 2)]);
        named.extend([("b", 3)]);
        named.insert("a", 4);
        assert_eq!(named, Named::from([("a", 4), ("b", 3)]));
    }

    #[test]
    fn it_is_stored_as_a_map() {
        let named = Named::from([("b", 2), ("a", 1)]);
        let json = serde_json::to_string(&named).unwrap();
        assert_eq!(json, r#"{"a":1,"b":2}"#);
        assert_eq!(serde_json::from_str::<Named<u8>>(&json).unwrap(), named);
        assert!(serde_json::from_str::<Named<u8>>("[1]").is_err());
    }
}
