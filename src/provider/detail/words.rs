//! A server's own words among the members of its answer, by the names that such members have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::is_opaque;

/// So many sentences are quoted: what it is, and what exactly.
const MOST_SENTENCES: usize = 2;
/// No server hides its words deeper.
const DEEPEST: usize = 7;
/// Of a list, the first few tell what is wrong.
const MOST_ELEMENTS: usize = 3;
const MOST_MEMBERS: usize = 64;
/// A code is a word.
const LONGEST_CODE: usize = 80;

/// Names of members that hold a code, without case, `_` and the like: the more telling first.
const CODES: [&str; 13] = [
    "error",
    "errorcode",
    "code",
    "exceptioncode",
    "faultcode",
    "errcode",
    "errorno",
    "errno",
    "errortype",
    "type",
    "status",
    "subcode",
    "messageid",
];

/// Names of members that hold a sentence, or several.
const MESSAGES: [&str; 38] = [
    "errordescription",
    "errorsummary",
    "errormessage",
    "errormsg",
    "errmsg",
    "errortext",
    "message",
    "msg",
    "detail",
    "details",
    "defaultmessage",
    "localizedmessage",
    "usermessage",
    "exceptionmessage",
    "faultstring",
    "description",
    "reason",
    "text",
    "summary",
    "title",
    "statusmessage",
    "statustext",
    "statusdescription",
    "resultmessage",
    "responsemessage",
    "returnmessage",
    "diagnostics",
    "explanation",
    "cause",
    "hint",
    "info",
    "comment",
    "error",
    "errors",
    "errormessages",
    "messages",
    "warnings",
    "fault",
];

/// What is no sentence within such a member.
const MARGINALIA: [&str; 8] = [
    "lang",
    "language",
    "locale",
    "type",
    "id",
    "timestamp",
    "path",
    "instance",
];

/// Parts of the names of members that may hold what is secret: nothing of them is quoted, whatever is in it.
const SECRET: [&str; 11] = [
    "token",
    "passw",
    "secret",
    "session",
    "cookie",
    "ticket",
    "credential",
    "assertion",
    "nonce",
    "signature",
    "jwt",
];

/// The rank of what is within such a member under a name that says nothing: it counts only if it has several words.
const INHERITED: usize = 100;

/// What may be quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// RFC 6749's `error`.
    ErrorsOnly,
    /// What reads as a sentence.
    Sentences,
    /// Whatever the members of those names hold.
    Refusal,
}

/// What was found, as the server wrote it.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) code: Option<String>,
    pub(super) sentences: Vec<String>,
}

/// The words among `members` of an answer with this status.
pub(super) fn in_members(members: &Value, status: u16, trust: Trust) -> Found {
    if trust == Trust::ErrorsOnly {
        let code = members
            .pointer("/error")
            .and_then(Value::as_str)
            .filter(|code| !code.is_empty());
        return Found {
            code: code.map(str::to_owned),
            sentences: Vec::new(),
        };
    }
    let mut search = Search {
        status,
        trust,
        codes: BTreeSet::new(),
        sentences: BTreeSet::new(),
    };
    search.visit(members, "", None, 0);
    search.found()
}

/// Whether `text` is something that people are told, and no value.
pub(super) fn is_sentence(text: &str, trust: Trust) -> bool {
    let text = text.trim();
    let has_words = text.contains(char::is_whitespace);
    let is_word = !text.contains(|char: char| char.is_ascii_digit()) || trust == Trust::Refusal;
    let is_address = text.contains("://") && !has_words;
    !text.is_empty()
        && !is_address
        && !is_opaque(text)
        && (has_words || is_word && text.len() <= LONGEST_CODE)
}

struct Search {
    status: u16,
    trust: Trust,
    /// In the order in which they are told: the more telling name first, then what is less deep.
    codes: BTreeSet<(usize, usize, String)>,
    /// What is less deep first: the general before the particular.
    sentences: BTreeSet<(usize, usize, String)>,
}

impl Search {
    /// `rank` is that of the sentences that `value` is one of, or holds.
    fn visit(&mut self, value: &Value, name: &str, rank: Option<usize>, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        match value {
            Value::String(text) => self.text(text, name, rank, depth),
            Value::Number(number) => self.number(&number.to_string(), name, depth),
            Value::Array(elements) => {
                elements
                    .iter()
                    .take(MOST_ELEMENTS)
                    .for_each(|element| self.visit(element, name, rank, depth + 1));
            }
            Value::Object(members) => {
                for (key, value) in members.iter().take(MOST_MEMBERS) {
                    self.member(&plain(key), value, name, rank, depth);
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }

    fn member(
        &mut self,
        name: &str,
        value: &Value,
        parent: &str,
        rank: Option<usize>,
        depth: usize,
    ) {
        if is_secret(name) {
            return;
        }
        let own = MESSAGES.iter().position(|known| *known == name);
        // Some say only here what exactly is wrong.
        let own = own.or_else(|| (name == "data" && parent == "error").then_some(MESSAGES.len()));
        let inherited = rank.filter(|_| !MARGINALIA.contains(&name) && !CODES.contains(&name));
        self.visit(
            value,
            name,
            own.or(inherited.map(|rank| rank.max(INHERITED))),
            depth + 1,
        );
    }

    fn text(&mut self, text: &str, name: &str, rank: Option<usize>, depth: usize) {
        let text = text.trim();
        if let Some(rank) = CODES
            .iter()
            .position(|code| *code == name)
            .filter(|_| is_code(text, self.trust))
        {
            if *text != self.status.to_string() {
                self.codes.insert((rank, depth, text.to_owned()));
            }
            return;
        }
        let told = |rank: &usize| *rank < INHERITED || text.contains(char::is_whitespace);
        if let Some(rank) = rank.filter(told).filter(|_| is_sentence(text, self.trust)) {
            self.sentences.insert((depth, rank, text.to_owned()));
        }
    }

    /// A code in figures tells more than none, and less than a word.
    fn number(&mut self, number: &str, name: &str, depth: usize) {
        let rank = CODES
            .iter()
            .position(|code| *code == name && *code != "status");
        if let Some(rank) = rank.filter(|_| *number != self.status.to_string() && number != "0") {
            self.codes
                .insert((CODES.len() + rank, depth, number.to_owned()));
        }
    }

    fn found(self) -> Found {
        let code = self.codes.into_iter().next().map(|(_, _, code)| code);
        let mut sentences: Vec<String> = Vec::new();
        for (_, _, sentence) in self.sentences {
            let said = code
                .iter()
                .chain(&sentences)
                .any(|other| other.contains(&sentence));
            if !said && sentences.len() < MOST_SENTENCES {
                sentences.push(sentence);
            }
        }
        Found { code, sentences }
    }
}

/// A word or a number, where a good status says of nothing that it is an error: no letters and figures mixed at length.
fn is_code(text: &str, trust: Trust) -> bool {
    let is_word = !text.contains(char::is_whitespace) && !text.contains("://") && !is_opaque(text);
    let is_sure = trust == Trust::Refusal
        || text.len() <= 16
        || !text.contains(|char: char| char.is_ascii_digit());
    (1..=LONGEST_CODE).contains(&text.len()) && is_word && is_sure
}

fn plain(key: &str) -> String {
    key.chars()
        .filter(|char| char.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_secret(name: &str) -> bool {
    name.ends_with("key") || SECRET.iter().any(|part| name.contains(part))
}
