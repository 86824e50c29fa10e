//! A value that must not be seen: wiped when dropped, and printed as a short fingerprint only.

use std::fmt;

use serde::{Deserialize, Deserializer, Serializer};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

/// A token, password or key.
///
/// `Debug` and `Display` print a fingerprint. There is no `Serialize`: a field that must be written in the clear
/// says so with `#[serde(with = "crate::secret::exposed")]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<Box<str>>);

impl Secret {
    /// Takes the value over.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into().into_boxed_str()))
    }

    /// The value itself, for the one place that must send or write it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// A short digest by which logs and status tell two tokens apart.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.0.as_bytes())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.fingerprint())
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

/// The first eight hexadecimal digits of the SHA-256 of `bytes`.
pub fn fingerprint(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes)).chars().take(8).collect()
}

/// `bytes` as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

/// For `#[serde(with = …)]` on a secret that is written in the clear, into state or to its reader.
pub mod exposed {
    use super::{Deserialize, Deserializer, Secret, Serializer};

    /// Writes the value itself.
    ///
    /// # Errors
    /// Whatever the serializer reports.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads the value back.
    ///
    /// # Errors
    /// When there is no string here.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_by_a_fingerprint_that_tells_it_from_another() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret:?}"), "Secret(f52fbd32)");
        assert_eq!(secret.to_string(), "f52fbd32");
        assert_ne!(secret.to_string(), Secret::new("hunter3").to_string());
        assert_eq!(hex(&[0, 0xab]), "00ab");
    }
}
