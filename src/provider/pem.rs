//! PEM (RFC 7468) as it arrives through variables, YAML and forms: what can be meant in one way only is put right, and of
//! everything else a person is told what it is and how to correct it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";
/// As `openssl` breaks lines.
const LINE: usize = 64;

/// Why a text holds no private key that can be read; never the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NoKey {
    /// Nothing like PEM.
    #[error("is no key in PEM: it begins with -----BEGIN PRIVATE KEY----- or the like")]
    NoPem,
    /// Nothing at all.
    #[error("is empty: check that its variable or file is the right one")]
    Empty,
    /// A beginning without an end.
    #[error(
        "breaks off: its line -----END …----- is missing; a key has many lines, and newlines may have ended it early"
    )]
    CutOff,
    /// No base64, or none of a key.
    #[error(
        "is damaged: the text between its BEGIN and END lines is no key; copy it from its file again, with all newlines"
    )]
    Damaged,
    /// RFC 1421, whose key derivation is a broken one.
    #[error(
        "is encrypted in the old PEM way: convert it with `openssl pkcs8 -topk8 -in OLD -out NEW`"
    )]
    LegacyEncryption,
    /// `ssh-keygen` writes it.
    #[error(
        "is in OpenSSH's own format: convert a copy with `ssh-keygen -p -m PKCS8 -f COPY`; if that does not convert it (Ed25519), make a new key: `openssl genpkey -algorithm ed25519`"
    )]
    OpenSsh,
    /// `puttygen` writes it.
    #[error(
        "is in PuTTY's own format: convert it with `puttygen KEY -O private-openssh-new -o NEW`, then `ssh-keygen -p -m PKCS8 -f NEW`"
    )]
    Putty,
    /// What the key belongs to.
    #[error(
        "is a certificate: the key that belongs to it is another file, which begins with -----BEGIN PRIVATE KEY-----"
    )]
    Certificate,
    /// What was sent to an authority.
    #[error(
        "is a certificate request: the key that belongs to it is another file, which begins with -----BEGIN PRIVATE KEY-----"
    )]
    Request,
    /// The half that is no secret.
    #[error(
        "is a public key, which belongs at the server; the private key begins with -----BEGIN PRIVATE KEY-----"
    )]
    PublicKey,
    /// RFC 7517.
    #[error("is a JSON Web Key: convert it to PEM, which begins with -----BEGIN PRIVATE KEY-----")]
    Jwk,
    /// Some other JSON.
    #[error(
        "is JSON without a `private_key`: give the key itself, which begins with -----BEGIN PRIVATE KEY-----"
    )]
    Json,
}

/// The private key's own block, as `openssl` would write it: there may be parameters, certificates and remarks around it.
///
/// # Errors
/// What it is instead.
pub fn private_key(text: &str) -> Result<Zeroizing<String>, NoKey> {
    let text = told(text)?;
    if text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(NoKey::LegacyEncryption);
    }
    let mut blocks = Blocks(&text).peekable();
    if blocks.peek().is_none() {
        return Err(without_blocks(&text));
    }
    let labels: Vec<&str> = Blocks(&text).map(|block| block.label).collect();
    match blocks.find(|block| block.label.ends_with("PRIVATE KEY")) {
        Some(block) if block.label == "OPENSSH PRIVATE KEY" => Err(NoKey::OpenSsh),
        Some(block) => block.written(),
        None => Err(other_than_a_key(&labels)),
    }
}

/// The first certificate in it, as `openssl` would write it.
pub(super) fn certificate(text: &str) -> Option<Zeroizing<String>> {
    let text = told(text).ok()?;
    Blocks(&text)
        .find(|block| block.label == "CERTIFICATE")?
        .written()
        .ok()
}

/// What PEM is meant, out of the wrappings that it came in.
fn told(text: &str) -> Result<Zeroizing<String>, NoKey> {
    let text = text.trim_start_matches('\u{feff}');
    let bare = text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '"' | '\''));
    if bare.is_empty() {
        return Err(NoKey::Empty);
    }
    if let Ok(Value::Object(members)) = serde_json::from_str(text) {
        return match members.get("private_key").and_then(Value::as_str) {
            Some(key) => Ok(Zeroizing::new(key.to_owned())),
            None if members.contains_key("kty") => Err(NoKey::Jwk),
            None => Err(NoKey::Json),
        };
    }
    let unwrapped = if bare.contains(BEGIN) {
        None
    } else {
        of_base64(bare)
    };
    let pem = unwrapped.unwrap_or_else(|| Zeroizing::new(bare.to_owned()));
    // No PEM has a backslash: these were newlines.
    Ok(Zeroizing::new(
        pem.replace("\\r", "\n")
            .replace("\\n", "\n")
            .replace("\\\n", "\n"),
    ))
}

/// A whole PEM that was made one line of, or the key within it.
fn of_base64(text: &str) -> Option<Zeroizing<String>> {
    let bytes = decoded(text)?;
    match std::str::from_utf8(&bytes) {
        Ok(pem) if pem.contains(BEGIN) => Some(Zeroizing::new(pem.to_owned())),
        Ok(_) | Err(_) => None,
    }
}

fn decoded(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let bare: Zeroizing<String> =
        Zeroizing::new(text.chars().filter(|char| !char.is_whitespace()).collect());
    STANDARD.decode(bare.as_bytes()).ok().map(Zeroizing::new)
}

fn without_blocks(text: &str) -> NoKey {
    match text {
        _ if text.contains("PuTTY-User-Key-File") => NoKey::Putty,
        _ if text.starts_with("ssh-") || text.starts_with("ecdsa-") => NoKey::PublicKey,
        _ if text.contains(BEGIN) => NoKey::CutOff,
        _ => NoKey::NoPem,
    }
}

fn other_than_a_key(labels: &[&str]) -> NoKey {
    match labels {
        _ if labels.iter().any(|label| label.ends_with("PUBLIC KEY")) => NoKey::PublicKey,
        _ if labels
            .iter()
            .any(|label| label.ends_with("CERTIFICATE REQUEST")) =>
        {
            NoKey::Request
        }
        _ if labels.iter().any(|label| label.ends_with("CERTIFICATE")) => NoKey::Certificate,
        _ => NoKey::NoPem,
    }
}

/// What is between a BEGIN and its END.
struct Block<'t> {
    label: &'t str,
    body: &'t str,
}

/// The blocks of a text, in order, wherever its lines break.
struct Blocks<'t>(&'t str);

impl<'t> Iterator for Blocks<'t> {
    type Item = Block<'t>;

    fn next(&mut self) -> Option<Block<'t>> {
        let (_, rest) = self.0.split_once(BEGIN)?;
        let (label, rest) = rest.split_once(DASHES)?;
        let (body, rest) = rest.split_once(END)?;
        self.0 = rest;
        Some(Block {
            label: label.trim(),
            body,
        })
    }
}

impl Block<'_> {
    fn written(&self) -> Result<Zeroizing<String>, NoKey> {
        let der = decoded(self.body)
            .filter(|der| !der.is_empty())
            .ok_or(NoKey::Damaged)?;
        let base64 = Zeroizing::new(STANDARD.encode(&*der));
        let mut pem = Zeroizing::new(String::with_capacity(2 * base64.len() + 128));
        pem.push_str(BEGIN);
        pem.push_str(self.label);
        pem.push_str(DASHES);
        for (index, char) in base64.chars().enumerate() {
            if index % LINE == 0 {
                pem.push('\n');
            }
            pem.push(char);
        }
        pem.push('\n');
        pem.push_str(END);
        pem.push_str(self.label);
        pem.push_str(DASHES);
        pem.push('\n');
        Ok(pem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Not a key; nothing here looks into it.
    fn pem(label: &str) -> String {
        let base64 = STANDARD.encode([0xfb_u8; 90]);
        let (first, second) = base64.split_at(LINE);
        format!("-----BEGIN {label}-----\n{first}\n{second}\n-----END {label}-----\n")
    }

    #[test]
    fn a_key_that_went_through_a_variable_yaml_or_a_form_is_read_where_it_can_mean_one_thing_only()
    {
        let whole = pem("PRIVATE KEY");
        let bare = whole.trim_end();
        let json = serde_json::json!({"type": "service_account", "private_key": whole}).to_string();
        for (how, text) in [
            ("as it is", whole.clone()),
            ("without its last newline", bare.to_owned()),
            ("with CRLF", whole.replace('\n', "\r\n")),
            ("with CR", whole.replace('\n', "\r")),
            ("indented", bare.replace('\n', "  \n\t  ")),
            ("with \\n", whole.replace('\n', "\\n")),
            ("with \\r\\n", whole.replace('\n', "\\r\\n")),
            ("with \\ at the ends of lines", bare.replace('\n', "\\\n")),
            ("with \\\\n", whole.replace('\n', "\\\\n")),
            (
                "quoted, with \\n",
                format!("\"{}\"", whole.replace('\n', "\\n")),
            ),
            ("quoted", format!("'{whole}'\n")),
            ("with blanks for newlines", bare.replace('\n', " ")),
            ("in one line", bare.replace('\n', "")),
            ("as base64", STANDARD.encode(&whole)),
            (
                "as base64 in lines",
                STANDARD.encode(&whole).replace('L', "L\n "),
            ),
            (
                "as base64 of a line with \\n",
                STANDARD.encode(whole.replace('\n', "\\n")),
            ),
            ("after a BOM", format!("\u{feff}{whole}")),
            (
                "with attributes before it",
                format!("Bag Attributes\n    localKeyID: 01\n{whole}"),
            ),
            (
                "between certificates",
                format!("{}{whole}{}", pem("CERTIFICATE"), pem("CERTIFICATE")),
            ),
            ("in Google's file", json),
        ] {
            assert_eq!(
                private_key(&text).as_deref().map(String::as_str),
                Ok(whole.as_str()),
                "{how}: {text}"
            );
        }
    }

    #[test]
    fn what_is_no_key_is_called_what_it_is() {
        let whole = pem("PRIVATE KEY");
        let cut = whole.lines().next().unwrap();
        let legacy = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAA==\n";
        for (text, expected) in [
            (String::new(), NoKey::Empty),
            (" \"\" \n".into(), NoKey::Empty),
            ("hello".into(), NoKey::NoPem),
            ("/etc/keys/crm.pem".into(), NoKey::NoPem),
            (STANDARD.encode("hello"), NoKey::NoPem),
            (cut.to_owned(), NoKey::CutOff),
            (whole.replace("-----END", ""), NoKey::CutOff),
            (whole.replacen("+/", "+*", 1), NoKey::Damaged),
            (
                "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----".into(),
                NoKey::Damaged,
            ),
            (legacy.to_owned(), NoKey::LegacyEncryption),
            (legacy.replace('\n', "\\n"), NoKey::LegacyEncryption),
            (pem("OPENSSH PRIVATE KEY"), NoKey::OpenSsh),
            (pem("CERTIFICATE"), NoKey::Certificate),
            (STANDARD.encode(pem("CERTIFICATE")), NoKey::Certificate),
            (pem("CERTIFICATE REQUEST"), NoKey::Request),
            (pem("PUBLIC KEY"), NoKey::PublicKey),
            (pem("RSA PUBLIC KEY"), NoKey::PublicKey),
            ("ssh-rsa AAAAB3NzaC1yc2E= me@host".into(), NoKey::PublicKey),
            ("PuTTY-User-Key-File-3: ssh-rsa\n".into(), NoKey::Putty),
            (r#"{"kty":"RSA","n":"…","d":"…"}"#.into(), NoKey::Jwk),
            (r#"{"type":"authorized_user"}"#.into(), NoKey::Json),
        ] {
            assert_eq!(private_key(&text).err(), Some(expected), "{text}");
        }
    }
}
