//! Takes events apart: a level, a message, and fields that know what they are.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

use super::outlet::Outlet;
use crate::clock;

/// One event, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Record {
    /// When.
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// The library that said it; none for our own.
    pub(super) library: Option<&'static str>,
    pub(super) message: String,
    /// In the order in which they were given.
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// What a field holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A string, quoted where people read it.
    Text(String),
    /// What prints itself.
    Shown(String),
    /// A number or a truth value.
    Number(String),
}

impl Record {
    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| *field == name)
            .map(|(_, value)| value.text())
    }
}

impl Value {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Shown(text) | Self::Number(text) => text,
        }
    }
}

/// Hands every event to one outlet.
pub(super) struct Recorder {
    outlet: Mutex<Outlet>,
}

impl Recorder {
    pub(super) fn new(outlet: Outlet) -> Self {
        Self {
            outlet: Mutex::new(outlet),
        }
    }
}

impl<S: Subscriber> Layer<S> for Recorder {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let target = metadata.target();
        let library = (!is_ours(target)).then_some(target);
        let mut record = Record {
            at: clock::now().wall,
            level: *metadata.level(),
            library,
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut record);
        self.outlet
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(&record);
    }
}

/// Whether a target is this crate's.
pub(super) fn is_ours(target: &str) -> bool {
    target
        .strip_prefix("keepfresh")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "message" => self.message = text,
            name => self.fields.push((name, Value::Shown(text))),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            name => self.fields.push((name, Value::Text(value.to_owned()))),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields
            .push((field.name(), Value::Number(value.to_string())));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields
            .push((field.name(), Value::Number(value.to_string())));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields
            .push((field.name(), Value::Number(value.to_string())));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for the others.
        let text = value.to_string();
        self.fields.push((
            field.name(),
            if value.is_finite() {
                Value::Number(text)
            } else {
                Value::Shown(text)
            },
        ));
    }
}
