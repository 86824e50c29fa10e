//! Where events go and how they look there: to journald with their fields, or to stderr as text or JSON.

mod line;

use std::io;

use rustix::fs::fstat;
use tracing::{Level, Metadata};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::filter::{EnvFilter, FilterExt as _, filter_fn};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, fmt};

use crate::clock;
use crate::config::LogTarget;
use line::{Line, LineStart, PlainFields};

/// The filter when nothing else is given, in the syntax of `tracing_subscriber`'s `EnvFilter`.
const FILTER_VARIABLE: &str = "KEEPFRESH_LOG";

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// Not the syntax of filters.
    #[error(
        "understand the log filter {filter:?}: {error}; write a level (info, debug) or target=level, comma between"
    )]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        error: String,
    },
    /// Something else in this process receives events already.
    #[error("set up logging twice in one process")]
    Twice,
}

/// Sends the process's events to `target`; `filter` (from `-v`) goes before `$KEEPFRESH_LOG`, without both it is `info`.
///
/// Libraries never say more than INFO, whatever the filter: below that they show what they send.
///
/// # Errors
/// When the filter cannot be understood, or logging was set up before.
pub fn init(target: LogTarget, filter: Option<&str>) -> Result<(), LoggingError> {
    let from_env = std::env::var(FILTER_VARIABLE).ok().filter(|filter| !filter.is_empty());
    let filter = filter.map(str::to_owned).or(from_env).unwrap_or_else(|| "info".to_owned());
    let parsed = EnvFilter::try_new(&filter)
        .map_err(|error| LoggingError::Filter { filter: filter.clone(), error: error.to_string() })?;
    let journal = stderr_is_the_journal();
    let (output, fallback) = match target {
        LogTarget::Json => (json(io::stderr), None),
        LogTarget::Text => (text(io::stderr, journal), None),
        LogTarget::Auto if !journal => (text(io::stderr, journal), None),
        LogTarget::Auto | LogTarget::Journald => match native() {
            Ok(output) => (output, None),
            Err(error) => (text(io::stderr, journal), Some(error)),
        },
    };
    let output = output.with_filter(parsed.and(filter_fn(may_be_said)));
    tracing_subscriber::registry().with(output).try_init().map_err(|_| LoggingError::Twice)?;
    if let Some(error) = fallback {
        tracing::warn!(%error, "journald does not take events, logging to stderr");
    }
    Ok(())
}

type Output<S> = Box<dyn Layer<S> + Send + Sync>;

/// Libraries print headers and bodies at DEBUG and TRACE, and with them tokens.
fn may_be_said(metadata: &Metadata<'_>) -> bool {
    let ours =
        metadata.target().strip_prefix("keepfresh").is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    ours || *metadata.level() <= Level::INFO
}

/// `JOURNAL_STREAM` names the device and inode of the pipe to journald (systemd.exec(5)); stderr may have been redirected since.
fn stderr_is_the_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(io::stderr()).is_ok_and(|found| stream == format!("{}:{}", found.st_dev, found.st_ino))
}

fn native<S>() -> io::Result<Output<S>>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let priorities = PriorityMappings {
        error: Priority::Error,
        warn: Priority::Warning,
        info: Priority::Informational,
        debug: Priority::Debug,
        trace: Priority::Debug,
    };
    let layer = tracing_journald::layer()?.with_field_prefix(None).with_priority_mappings(priorities);
    Ok(layer.with_syslog_identifier("keepfresh".to_owned()).boxed())
}

fn text<W>(writer: W, journal: bool) -> Output<Registry>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let start = if journal { LineStart::SyslogPrefix } else { LineStart::TimeAndLevel };
    // A reader of stderr that went away must not stop the daemon, nor have it say so on stderr.
    let layer = fmt::layer().with_writer(writer).log_internal_errors(false).with_ansi(false);
    layer.fmt_fields(PlainFields).event_format(Line { start }).boxed()
}

fn json<W>(writer: W) -> Output<Registry>
where
    W: for<'a> fmt::MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).log_internal_errors(false).with_ansi(false);
    layer.json().flatten_event(true).with_span_list(false).with_timer(Wall).boxed()
}

/// RFC 3339 in UTC, from the one clock.
struct Wall;

impl FormatTime for Wall {
    fn format_time(&self, writer: &mut Writer<'_>) -> std::fmt::Result {
        write!(writer, "{:.3}", clock::now().wall)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn text_has_time_and_level_or_for_the_journal_its_priority() {
        let said = heard(
            |sink| text(sink, true),
            || {
                let _span = tracing::info_span!("session", session = "crm").entered();
                tracing::error!(event = "withdrawn", generation = 7, "the token is dead");
                tracing::warn!("a person must act");
                tracing::info!(reason = %"two words", "alive");
                tracing::debug!("called");
                tracing::trace!("step");
            },
        );
        assert_eq!(
            said,
            "<3>the token is dead event=\"withdrawn\" generation=7 session=\"crm\"\n\
             <4>a person must act session=\"crm\"\n\
             <6>alive reason=two words session=\"crm\"\n\
             <7>called session=\"crm\"\n\
             <7>step session=\"crm\"\n"
        );
        let said = heard(|sink| text(sink, false), || tracing::info!("alive"));
        let (time, rest) = said.split_once(' ').unwrap();
        assert!(time.ends_with('Z') && time.parse::<jiff::Timestamp>().is_ok(), "{said}");
        assert_eq!(rest, " INFO alive\n");
    }

    #[test]
    fn no_value_can_forge_a_line_or_reach_the_terminal() {
        let hostile = "x\n<0>forged\r\u{1b}[31m\u{9b}\0\u{7f}\u{2028}\u{202e}é";
        let events = || {
            let _span = tracing::info_span!("session", session = %hostile).entered();
            tracing::info!(detail = %hostile, quoted = hostile, debugged = ?hostile, "{hostile}");
        };
        for said in [heard(|sink| text(sink, true), events), heard(|sink| text(sink, false), events)] {
            assert_eq!(said.matches('\n').count(), 1, "{said:?}");
            let line = said.trim_end_matches('\n');
            assert!(!line.contains(|c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{202e}')), "{said:?}");
            assert!(line.contains("x\\n<0>forged\\r\\u{1b}[31m") && line.contains('é'), "{said:?}");
        }
        let said = heard(json, events);
        assert_eq!(said.matches('\n').count(), 1, "{said:?}");
        assert!(!said.trim_end().contains(|c: char| c < ' '), "{said:?}");
    }

    #[test]
    fn json_is_one_object_a_line_with_the_session() {
        let said = heard(json, || {
            let _span = tracing::info_span!("session", session = "crm").entered();
            tracing::info!(generation = 7, "published");
        });
        let value: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&value["message"], &value["generation"]), (&"published".into(), &7.into()));
        assert_eq!((&value["level"], &value["span"]["session"]), (&"INFO".into(), &"crm".into()));
        assert!(value["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok());
    }

    #[test]
    fn libraries_say_no_more_than_info_even_at_trace() {
        let said = heard(
            |sink| text(sink, true),
            || {
                tracing::trace!(target: "hyper::proto", "Authorization: Bearer secret");
                tracing::debug!(target: "keepfresh_lookalike", "secret");
                tracing::info!(target: "rustls", "harmless");
                tracing::trace!(target: "keepfresh::driver", "ours");
            },
        );
        assert_eq!(said, "<6>rustls: harmless\n<7>ours\n");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_named() {
        let error = init(LogTarget::Text, Some("keepfresh=loud")).unwrap_err().to_string();
        assert!(error.contains("keepfresh=loud"), "{error}");
    }

    /// What an output writes at the most talkative filter.
    fn heard(output: impl FnOnce(Sink) -> Output<Registry>, act: impl FnOnce()) -> String {
        let sink = Sink::default();
        let filter = EnvFilter::new("trace").and(filter_fn(may_be_said));
        let subscriber = tracing_subscriber::registry().with(output(sink.clone()).with_filter(filter));
        tracing::subscriber::with_default(subscriber, act);
        let bytes = sink.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl fmt::MakeWriter<'_> for Sink {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }
}
