//! One event as one line of text: nothing that a server sent can begin another line or move a terminal's cursor.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, FormattedFields};
use tracing_subscriber::registry::LookupSpan;

use crate::clock;

/// How a line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LineStart {
    /// `<6>`, which journald takes off a pipe and stores as the priority (sd-daemon(3)); it knows the time itself.
    SyslogPrefix,
    /// RFC 3339 in UTC, and the level.
    TimeAndLevel,
}

/// The message, then its fields, then those of the spans around it.
pub(super) struct Line {
    pub(super) start: LineStart,
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let level = *event.metadata().level();
        match self.start {
            LineStart::SyslogPrefix => write!(writer, "<{}>", priority(level))?,
            LineStart::TimeAndLevel => write!(writer, "{:.3} {level:>5} ", clock::now().wall)?,
        }
        let mut line = String::new();
        let target = event.metadata().target();
        if !target.starts_with("keepfresh") {
            write!(line, "{target}: ")?;
        }
        context.field_format().format_fields(Writer::new(&mut line), event)?;
        for span in context.event_scope().into_iter().flatten() {
            if let Some(fields) = span.extensions().get::<FormattedFields<N>>().filter(|fields| !fields.is_empty()) {
                write!(line, " {fields}")?;
            }
        }
        escape(&mut writer, &line)?;
        writer.write_char('\n')
    }
}

fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Controls, and what reorders or breaks lines on a terminal, become visible; all else stays as it is.
fn escape(writer: &mut Writer<'_>, text: &str) -> fmt::Result {
    for c in text.chars() {
        let hidden = matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() {
            write!(writer, "{}", c.escape_default())?;
        } else if hidden {
            write!(writer, "{}", c.escape_unicode())?;
        } else {
            writer.write_char(c)?;
        }
    }
    Ok(())
}

/// `message key=value key="text"`, unescaped: the line is escaped as a whole.
pub(super) struct PlainFields;

impl<'writer> FormatFields<'writer> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = PlainVisitor { writer, first: true, result: Ok(()) };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct PlainVisitor<'writer> {
    writer: Writer<'writer>,
    first: bool,
    result: fmt::Result,
}

impl Visit for PlainVisitor<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let gap = if std::mem::replace(&mut self.first, false) { "" } else { " " };
        let written = match field.name() {
            "message" => write!(self.writer, "{gap}{value:?}"),
            name => write!(self.writer, "{gap}{name}={value:?}"),
        };
        self.result = self.result.and(written);
    }
}
