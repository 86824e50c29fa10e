//! Reads a parsed TOML table key by key: what is of the wrong type or unknown is reported, and reading goes on.

use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::Document;
use super::keys::{self, Keys};
use super::report::{At, Place, Report};
use super::value::{self, Bad, closest};

/// One table of one file, with the path by which errors name it.
pub(super) struct Table<'d> {
    pub(super) report: &'d Report,
    /// Dotted, as a person would write it; empty for the file itself.
    pub(super) path: String,
    /// Its header, or the inline table.
    pub(super) place: Place,
    /// Whether the file has syntax errors, so that what is missing here may only be unread.
    pub(super) broken: bool,
    /// That of the file: relative paths lie there.
    pub(super) directory: PathBuf,
    entries: &'d DeTable<'d>,
}

impl<'d> Table<'d> {
    /// A whole file.
    pub(super) fn root(report: &'d Report, document: &'d Document<'d>, directory: &Path) -> Self {
        let place = Place {
            document: document.index,
            span: None,
        };
        let (path, directory) = (String::new(), directory.to_owned());
        Self {
            report,
            path,
            place,
            broken: document.broken,
            directory,
            entries: &document.entries,
        }
    }

    /// The dotted path of `key`, which may have dots of its own; in quotes where it holds what could break a line.
    pub(super) fn name(&self, key: &str) -> String {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        let key = if !key.is_empty() && key.bytes().all(bare) {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.path.is_empty() {
            key
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// Reports every key that is not one of `known`.
    pub(super) fn only(&self, known: Keys) {
        let known: Vec<&str> = known.iter().map(|key| key.name).collect();
        self.only_here(&known, |word| keys::home(&self.path, word));
    }

    /// As [`Table::only`], where `home` knows in which table an unknown key is known.
    pub(super) fn only_here(&self, known: &[&str], home: impl Fn(&str) -> Option<String>) {
        for key in self
            .entries
            .keys()
            .filter(|key| !known.contains(&key.get_ref().as_ref()))
        {
            let word = key.get_ref().as_ref();
            let list = known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ");
            let help = match (home(word), closest(word, known)) {
                (Some(home), _) => format!("write it under {home}; known here: {list}"),
                (None, Some(meant)) => format!("did you mean `{meant}`? known here: {list}"),
                (None, None) if known.is_empty() => "take it out".to_owned(),
                (None, None) => format!("take it out, or write one of {list}"),
            };
            self.report.problem(
                &self.at(key.span()),
                format!("unknown key `{}`", self.name(word)),
                help,
            );
        }
    }

    /// Whether the key is written here at all.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.contains_key(key)
    }

    /// The place of the key's value, or of the table without it.
    pub(super) fn place_of(&self, key: &str) -> Place {
        self.entries
            .get(key)
            .map_or_else(|| self.place.clone(), |value| self.at(value.span()))
    }

    /// The place of what is under `path`, table by table: the innermost of it that is written.
    pub(super) fn place_within(&self, path: &[&str]) -> Place {
        let (mut place, mut entries) = (self.place.clone(), Some(self.entries));
        for key in path {
            let Some(value) = entries.and_then(|entries| entries.get(*key)) else {
                break;
            };
            place = self.at(value.span());
            entries = value.get_ref().as_table();
        }
        place
    }

    /// Every key with its place, in alphabetical order.
    pub(super) fn keys(&self) -> Vec<At<&'d str>> {
        self.entries
            .keys()
            .map(|key| At {
                value: key.get_ref().as_ref(),
                place: self.at(key.span()),
            })
            .collect()
    }

    /// Reports that `key` must be given.
    pub(super) fn missing(&self, key: &str, help: &str) {
        if !self.broken {
            self.report.problem(
                &self.place,
                format!("missing key `{}`", self.name(key)),
                help,
            );
        }
    }

    /// The value as it is written.
    pub(super) fn value(&self, key: &str) -> Option<At<&'d DeValue<'d>>> {
        self.entries.get(key).map(|value| At {
            value: value.get_ref(),
            place: self.at(value.span()),
        })
    }

    /// A string that is not empty.
    pub(super) fn text(&self, key: &str) -> Option<At<&'d str>> {
        let found = self.value(key)?;
        let Some(text) = found.value.as_str() else {
            self.wrong_type(key, &found, "a string");
            return None;
        };
        if text.trim().is_empty() {
            let help = "give it a value, or take the key out";
            self.report
                .problem(&found.place, format!("`{}` is empty", self.name(key)), help);
            return None;
        }
        Some(At {
            value: text,
            place: found.place,
        })
    }

    /// A string that `parse` understands; the value may be shown.
    pub(super) fn parsed<T>(
        &self,
        key: &str,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<At<T>> {
        let text = self.text(key)?;
        match parse(text.value) {
            Ok(value) => Some(At {
                value,
                place: text.place,
            }),
            Err(bad) => {
                self.bad(key, &text.place, bad);
                None
            }
        }
    }

    /// Reports a value that `parse` did not understand.
    pub(super) fn bad(&self, key: &str, place: &Place, bad: Bad) {
        self.report.problem(
            place,
            format!("`{}` {}", self.name(key), bad.what),
            bad.remedy,
        );
    }

    /// A duration.
    pub(super) fn duration(&self, key: &str) -> Option<At<Duration>> {
        let found = self.value(key)?;
        match found.value {
            DeValue::Integer(number) => {
                self.bare_number(key, &found, number.as_str(), value::without_unit)
            }
            DeValue::Float(number) => {
                self.bare_number(key, &found, number.as_str(), value::without_unit)
            }
            DeValue::String(_) => self.parsed(key, value::duration),
            DeValue::Boolean(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type(
                    key,
                    &found,
                    "a string with units, such as \"90s\", \"2h\" or \"1h 30m\"",
                );
                None
            }
        }
    }

    /// A string that `parse` understands, where a number is a slip: `bare` says what to write instead.
    pub(super) fn quoted<T>(
        &self,
        key: &str,
        bare: impl FnOnce(&str, &str) -> Bad,
        parse: impl FnOnce(&str) -> Result<T, Bad>,
    ) -> Option<At<T>> {
        let found = self.value(key)?;
        match found.value.as_integer() {
            Some(number) => self.bare_number(key, &found, number.as_str(), bare),
            None => self.parsed(key, parse),
        }
    }

    fn bare_number<T>(
        &self,
        key: &str,
        found: &At<&DeValue<'_>>,
        number: &str,
        bare: impl FnOnce(&str, &str) -> Bad,
    ) -> Option<At<T>> {
        self.bad(key, &found.place, bare(key, number));
        None
    }

    /// One of a few words.
    pub(super) fn one_of<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Option<At<T>> {
        self.parsed(key, |text| {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let remedy = format!("write one of \"{}\"", known.join("\", \""));
            let found = words
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, value)| *value);
            found.ok_or_else(|| value::bad("is none of the known values", remedy))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, key: &str) -> Option<At<bool>> {
        let found = self.value(key)?;
        let flag = found.value.as_bool();
        if flag.is_none() {
            self.wrong_type(key, &found, "true or false");
        }
        flag.map(|value| At {
            value,
            place: found.place,
        })
    }

    /// An array of strings, none of them empty.
    pub(super) fn texts(&self, key: &str) -> Option<At<Vec<At<&'d str>>>> {
        let found = self.value(key)?;
        let Some(array) = found.value.as_array() else {
            self.wrong_type(
                key,
                &found,
                &format!("an array of strings: {key} = [\"…\"]"),
            );
            return None;
        };
        let read = array
            .iter()
            .filter_map(|item| self.item(key, item))
            .collect();
        Some(At {
            value: read,
            place: found.place,
        })
    }

    fn item(&self, key: &str, item: &'d Spanned<DeValue<'d>>) -> Option<At<&'d str>> {
        let found = At {
            value: item.get_ref(),
            place: self.at(item.span()),
        };
        let text = found.value.as_str().filter(|text| !text.trim().is_empty());
        if text.is_none() {
            self.wrong_type(key, &found, "an array of non-empty strings");
        }
        text.map(|value| At {
            value,
            place: found.place,
        })
    }

    /// A table, for the keys in it.
    pub(super) fn table(&self, key: &str) -> Option<Table<'d>> {
        let found = self.value(key)?;
        let table = found
            .value
            .as_table()
            .map(|entries| self.inner(self.name(key), entries, found.place.clone()));
        if table.is_none() {
            self.wrong_type(key, &found, &format!("a table: [{}]", self.name(key)));
        }
        table
    }

    /// An array of tables; none when the key is absent, empty for `key = []`.
    pub(super) fn tables(&self, key: &str) -> Option<Vec<Table<'d>>> {
        let found = self.value(key)?;
        let all = found.value.as_array().and_then(|array| {
            array
                .iter()
                .map(|item| {
                    item.get_ref()
                        .as_table()
                        .map(|entries| (entries, item.span()))
                })
                .collect()
        });
        let Some(all): Option<Vec<_>> = all else {
            self.wrong_type(
                key,
                &found,
                &format!("an array of tables: [[{}]]", self.name(key)),
            );
            return Some(Vec::new());
        };
        Some(
            all.into_iter()
                .map(|(entries, span)| self.inner(self.name(key), entries, self.at(span)))
                .collect(),
        )
    }

    fn inner(&self, path: String, entries: &'d DeTable<'d>, place: Place) -> Table<'d> {
        let directory = self.directory.clone();
        Table {
            report: self.report,
            path,
            place,
            broken: self.broken,
            directory,
            entries,
        }
    }

    /// Reports a value of another type than `expected`.
    pub(super) fn wrong_type(&self, key: &str, found: &At<&DeValue<'_>>, expected: &str) {
        let title = format!(
            "`{}` has the wrong type: {}",
            self.name(key),
            found.value.type_str()
        );
        self.report
            .problem(&found.place, title, format!("write {expected}"));
    }

    fn at(&self, span: std::ops::Range<usize>) -> Place {
        Place {
            document: self.place.document,
            span: Some(span),
        }
    }
}
