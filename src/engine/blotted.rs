//! What others wrote, as people may read it: on one line, nothing in it that is not seen, and without what is secret.
//!
//! A text is made visible first and searched for secrets last. The other way round, an invisible character
//! between two letters would carry a secret past the search.

mod escapes;
mod readings;
mod search;
mod visible;
mod words;

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize};

use crate::secret::Secret;
use readings::readings;
use search::Pieces;
use visible::visible;

/// So many characters of a text are shown at most.
const LONGEST: usize = 4096;

/// So many more are looked at: what begins to be secret at the end of what is shown, goes on here.
const BEYOND: usize = 512;

/// What is in the place of a secret.
const BLOT: &str = "[secret]";

/// Text that may be shown to people, in logs, events, status and on terminals.
///
/// There is one way to make it of what others wrote, [`Blotted::new`], so that nothing of theirs is shown as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Blotted(String);

impl Blotted {
    /// `text` without any of `secrets`, in whatever form docs/security.md names, and without what cannot be seen.
    ///
    /// No secrets are given only where none can be in it.
    pub fn new(text: &str, secrets: &[Secret]) -> Self {
        Self::within(text, &Pieces::of(secrets))
    }

    /// Each of `texts`, without any of `secrets`: long ones are taken apart once.
    pub fn each<'a>(texts: impl IntoIterator<Item = &'a str>, secrets: &[Secret]) -> Vec<Self> {
        let mut pieces = None;
        let text = |text| Self::within(text, pieces.get_or_insert_with(|| Pieces::of(secrets)));
        texts.into_iter().map(text).collect()
    }

    fn within(text: &str, pieces: &Pieces) -> Self {
        let text: Vec<char> = visible(text).take(LONGEST + BEYOND).collect();
        if pieces.is_empty() || text.is_empty() {
            return Self(text.into_iter().take(LONGEST).collect());
        }
        let Some(readings) = readings(&text) else {
            return Self(BLOT.to_owned());
        };
        let mut secret = vec![false; text.len()];
        for reading in &readings {
            for range in pieces.found_in(reading, &text) {
                secret
                    .iter_mut()
                    .take(range.end)
                    .skip(range.start)
                    .for_each(|is_secret| *is_secret = true);
            }
        }
        Self(without(&text, &secret))
    }

    /// One text after the other.
    pub fn concat(parts: impl IntoIterator<Item = Self>) -> Self {
        Self(parts.into_iter().map(|part| part.0).collect())
    }

    /// No more than the first `longest` characters, and a sign that there were more.
    #[must_use]
    pub fn cut(self, longest: usize) -> Self {
        match self.0.char_indices().nth(longest) {
            Some((end, _)) => Self(format!("{}…", self.0.get(..end).unwrap_or_default())),
            None => self,
        }
    }

    /// Without the words that are `suspect`: secrets that keepfresh does not know look different from what people say.
    #[must_use]
    pub fn hiding(self, suspect: impl Fn(&str) -> bool) -> Self {
        Self(words::hiding(&self.0, suspect))
    }

    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether every character of `text` can be seen, and it stays on its line: what goes into addresses and headers.
pub fn is_visible(text: &str) -> bool {
    visible::is_visible(text)
}

fn without(text: &[char], secret: &[bool]) -> String {
    let mut before = false;
    let mut shown = String::with_capacity(text.len());
    for (char, is_secret) in text.iter().zip(secret).take(LONGEST) {
        match (*is_secret, before) {
            (false, _) => shown.push(*char),
            (true, false) => shown.push_str(BLOT),
            (true, true) => {}
        }
        before = *is_secret;
    }
    shown
}

/// What was blotted may go on as plain text.
impl From<Blotted> for String {
    fn from(text: Blotted) -> Self {
        text.0
    }
}

impl From<&Blotted> for String {
    fn from(text: &Blotted) -> Self {
        text.0.clone()
    }
}

/// Our own words hold no secret.
impl From<&'static str> for Blotted {
    fn from(own: &'static str) -> Self {
        Self(own.to_owned())
    }
}

impl Deref for Blotted {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Blotted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What was stored or sent by this program was blotted then; a file can have been changed since.
impl<'de> Deserialize<'de> for Blotted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self::new(&text, &[]))
    }
}

#[cfg(test)]
mod tests;
