//! A search for secrets in every form in which one may slip out: as it is, percent-encoded, as base64 or as JSON has it.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// What a search begins with, so that a long text is read once, however many secrets there are.
const HEAD: usize = 8;

/// Forms of secrets, by their first bytes.
pub(crate) struct Forms {
    by_head: HashMap<u64, Vec<Vec<u8>>>,
    /// Whether any form's head ends like this.
    tails: Vec<bool>,
}

impl Forms {
    pub(crate) fn of(secrets: &[String]) -> Self {
        let mut forms = Self {
            by_head: HashMap::new(),
            tails: vec![false; 1 << 16],
        };
        for form in secrets
            .iter()
            .flat_map(|secret| all_forms(secret))
            .filter(|form| form.len() >= HEAD)
        {
            let head = form.bytes().take(HEAD).fold(0, push);
            forms.tails[tail(head)] = true;
            forms
                .by_head
                .entry(head)
                .or_default()
                .push(form.into_bytes());
        }
        forms
    }

    /// The lines of `text` that show a secret, whoever said it.
    pub(crate) fn shown(&self, text: &str) -> Vec<String> {
        text.lines()
            .filter(|line| self.are_in(line.as_bytes()))
            .map(ToOwned::to_owned)
            .collect()
    }

    pub(crate) fn are_in(&self, text: &[u8]) -> bool {
        let mut head = 0;
        text.iter().enumerate().any(|(at, byte)| {
            head = push(head, *byte);
            let start = (at + 1)
                .checked_sub(HEAD)
                .filter(|_| self.tails[tail(head)]);
            let forms = start.and_then(|start| Some((start, self.by_head.get(&head)?)));
            forms.is_some_and(|(start, forms)| {
                forms.iter().any(|form| text[start..].starts_with(form))
            })
        })
    }
}

/// The last two bytes of a head.
fn tail(head: u64) -> usize {
    usize::try_from(head & 0xffff).unwrap()
}

fn push(head: u64, byte: u8) -> u64 {
    head << 8 | u64::from(byte)
}

/// Every form of `secret`; of base64, what is there wherever the secret begins within what was encoded.
fn all_forms(secret: &str) -> BTreeSet<String> {
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let form = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let json = serde_json::to_string(secret)
        .unwrap()
        .trim_matches('"')
        .to_owned();
    let debug = secret.escape_debug().to_string();
    let mut forms = BTreeSet::from([
        secret.to_owned(),
        lower_escapes(&percent),
        percent,
        form,
        json,
        debug,
    ]);
    for offset in 0..3 {
        let shifted = [&vec![0; offset][..], secret.as_bytes()].concat();
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&shifted);
            let (start, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
            forms.insert(encoded[start..end].to_owned());
        }
    }
    forms
}

/// `%2f` for `%2F`; the rest as it is.
pub(crate) fn lower_escapes(percent: &str) -> String {
    let mut parts = percent.split('%');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + "%" + &part[..2].to_lowercase() + &part[2..]
    })
}

/// The arguments of a process and of what it started, as everybody may read them.
pub(crate) fn arguments(pid: u32) -> Vec<String> {
    let read = |pid: &str| {
        String::from_utf8_lossy(&fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default())
            .replace('\0', " ")
    };
    let children =
        fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids =
        std::iter::once(pid.to_string()).chain(children.split_whitespace().map(ToOwned::to_owned));
    pids.map(|pid| read(&pid)).collect()
}

/// Every file below `dir`, with its content.
pub(crate) fn files(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        if kind.is_dir() {
            found.extend(files(&path));
        } else if kind.is_file() {
            found.push((path.clone(), fs::read(path).unwrap_or_default()));
        }
    }
    found
}

#[test]
fn a_secret_is_found_in_every_form_and_nothing_else_is() {
    let forms = Forms::of(&["s3cret/pass word".to_owned()]);
    for shown in [
        "a s3cret/pass word b",
        "s3cret%2Fpass%20word",
        "s3cret%2fpass%20word",
        "s3cret%2Fpass+word",
        &format!("Basic {}", STANDARD_NO_PAD.encode("app:s3cret/pass word:x")),
        &format!("Basic {}", STANDARD_NO_PAD.encode("ap:s3cret/pass word")),
        &format!(
            "{}.x",
            URL_SAFE_NO_PAD.encode("{\"p\":\"s3cret/pass word\"}")
        ),
    ] {
        assert_eq!(forms.shown(&format!("one\n{shown}\nthree")), [shown]);
    }
    assert!(
        forms
            .shown("s3cret pass word, s3cret%2fpass-word")
            .is_empty()
    );
}
