//! What lies in the place of a record, for `crate::fuzz`.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use super::seal::Seal;
use super::{Opened, Record, Shared, Store};
use crate::secret::Secret;

/// Opened, or known as none.
pub(crate) fn fuzz(bytes: &[u8]) {
    let seal = Seal::new(&Secret::new("0123456789abcdef")).ok();
    let Ok(lock) = File::open("/dev/null") else { return };
    let store = Store { shared: Arc::new(Shared { dir: PathBuf::new(), seal, earlier: None, _lock: lock }) };
    let record = Record::Session("crm".to_owned());
    if let Ok(Opened::Bytes(opened)) = store.unwrap(&record, Path::new("crm.json"), bytes) {
        assert!(serde_json::from_slice::<Value>(&opened).is_ok(), "opened what is no record");
    }
}
