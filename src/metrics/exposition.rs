//! The text of an exposition: `OpenMetrics` 1.0, and the older format of Prometheus, which differs in counters' names and
//! in how it ends.

use std::fmt::{Display, Write as _};

/// Which of the two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `application/openmetrics-text`.
    OpenMetrics,
    /// `text/plain; version=0.0.4`.
    Text,
}

impl Form {
    /// What a scraper asked for in its `Accept` header; the older format when it names neither.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// The `Content-Type` that goes with it.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// What a family's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    /// Only rises, until the daemon or the session starts anew; its samples' names end in `_total`.
    Counter,
}

/// Writes one family after the other.
pub(super) struct Writer {
    text: String,
    form: Form,
    /// Of the samples of the current family.
    sample: String,
}

impl Writer {
    pub(super) fn new(form: Form) -> Self {
        Self {
            text: String::new(),
            form,
            sample: String::new(),
        }
    }

    /// Begins a family; its samples follow.
    pub(super) fn family(&mut self, name: &str, kind: Kind, help: &str) {
        self.sample = sample_name(name, kind);
        let described = match self.form {
            Form::OpenMetrics => name,
            Form::Text => &self.sample,
        };
        let word = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = writeln!(
            self.text,
            "# HELP {described} {help}\n# TYPE {described} {word}"
        );
    }

    /// One sample of the current family.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.text.push_str(&self.sample);
        for (index, (name, text)) in labels.iter().enumerate() {
            self.text.push_str(if index == 0 { "{" } else { "," });
            let _ = write!(self.text, "{name}=\"{}\"", escaped(text));
        }
        self.text.push_str(if labels.is_empty() { "" } else { "}" });
        let _ = writeln!(self.text, " {value}");
    }

    pub(super) fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// How the samples of a family are called.
pub(super) fn sample_name(family: &str, kind: Kind) -> String {
    match kind {
        Kind::Gauge => family.to_owned(),
        Kind::Counter => format!("{family}_total"),
    }
}

/// A label's value; session names need nothing of it, a quota's name comes from a profile.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
