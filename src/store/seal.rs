//! Seals records, so that a reader of a backup of the state directory finds no token.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::secret::{Secret, hex};

/// A shorter key could be guessed from a sealed file.
pub(super) const SHORTEST_KEY: usize = 16;

/// AES-256-GCM under a key derived from `state_key` (HKDF-SHA256, RFC 5869).
pub(super) struct Seal {
    key: RandomizedNonceKey,
    id: String,
}

/// A record that only the key opens.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    /// Tells a wrong key from a damaged file; derived like the key, and says nothing of it.
    key_id: String,
    nonce: String,
    ciphertext: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum SealError {
    #[error("it was changed since it was sealed")]
    Damaged,
    #[error("the cryptographic library failed")]
    Library,
}

impl Seal {
    /// Derives the key; the caller has refused what is shorter than [`SHORTEST_KEY`].
    pub(super) fn new(secret: &Secret) -> Result<Self, SealError> {
        let key = derive(secret, b"seal")?;
        let id = hex(&*derive(secret, b"key id")?).chars().take(16).collect();
        Ok(Self {
            key: RandomizedNonceKey::new(&AES_256_GCM, &*key).map_err(|_| SealError::Library)?,
            id,
        })
    }

    /// Seals `bytes`, bound to the record's `name`.
    pub(super) fn seal(&self, name: &str, bytes: &[u8]) -> Result<Sealed, SealError> {
        let mut buffer = Zeroizing::new(Vec::with_capacity(bytes.len() + AES_256_GCM.tag_len()));
        buffer.extend_from_slice(bytes);
        let nonce = self
            .key
            .seal_in_place_append_tag(Aad::from(name.as_bytes()), &mut *buffer)
            .map_err(|_| SealError::Library)?;
        Ok(Sealed {
            key_id: self.id.clone(),
            nonce: STANDARD.encode(nonce.as_ref()),
            ciphertext: STANDARD.encode(&*buffer),
        })
    }

    /// Whether it was this key that sealed it.
    pub(super) fn made(&self, sealed: &Sealed) -> bool {
        sealed.key_id == self.id
    }

    /// Opens what this key sealed under the same name.
    pub(super) fn open(&self, name: &str, sealed: &Sealed) -> Result<Vec<u8>, SealError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealError::Damaged);
        let nonce = Nonce::try_assume_unique_for_key(&decode(&sealed.nonce)?)
            .map_err(|_| SealError::Damaged)?;
        let mut buffer = decode(&sealed.ciphertext)?;
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(name.as_bytes()), &mut buffer);
        let length = opened.map_err(|_| SealError::Damaged)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }
}

fn derive(secret: &Secret, purpose: &[u8]) -> Result<Zeroizing<[u8; 32]>, SealError> {
    let mut key = Zeroizing::new([0; 32]);
    Salt::new(HKDF_SHA256, b"keepfresh state 1")
        .extract(secret.expose().as_bytes())
        .expand(&[purpose], HKDF_SHA256)
        .and_then(|derived| derived.fill(&mut *key))
        .map_err(|_| SealError::Library)?;
    Ok(key)
}
