//! What many sessions say alike is held once.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// The values that were given so far.
pub(super) struct Pool<T: ?Sized>(RefCell<HashSet<Arc<T>>>);

impl<T: ?Sized> Default for Pool<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Eq + Hash + ?Sized> Pool<T> {
    /// The one that is equal to `value`.
    pub(super) fn share(&self, value: impl Into<Arc<T>>) -> Arc<T> {
        let value = value.into();
        let mut known = self.0.borrow_mut();
        if let Some(shared) = known.get(&value) {
            return shared.clone();
        }
        known.insert(value.clone());
        value
    }
}
