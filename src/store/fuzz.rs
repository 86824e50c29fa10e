//! What lies in the place of a record, for `crate::fuzz`.

use std::path::Path;

use serde_json::Value;

use super::Record;
use super::keys::{Keys, Opened};
use crate::secret::Secret;

/// Opened, or known as none.
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(keys) = Keys::new(Path::new(""), Some(&Secret::new("0123456789abcdef")), None) else {
        return;
    };
    let record = Record::Session("crm".to_owned());
    if let Ok(Opened::Bytes(opened) | Opened::Plain(opened) | Opened::Unproven(opened)) =
        keys.unwrap(&record, Path::new("crm.json"), bytes)
    {
        assert!(
            serde_json::from_slice::<Value>(&opened).is_ok(),
            "opened what is no record"
        );
    }
}
