//! Every family that is exposed, with its help and where its values come from.

use jiff::Timestamp;

use super::exposition::{Form, Kind, Writer, sample_name};
use super::process::Process;
use super::{DaemonFigures, SessionFigures, Snapshot};
use crate::hooks::Runs;
use crate::session::answer::Request;
use crate::session::view::Phase;

/// One family of figures of a `T`.
struct Family<T> {
    /// Without the `_total` of a counter's samples.
    name: &'static str,
    kind: Kind,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
}

const fn gauge<T>(
    name: &'static str,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
) -> Family<T> {
    Family {
        name,
        kind: Kind::Gauge,
        help,
        samples,
    }
}

const fn counter<T>(
    name: &'static str,
    help: &'static str,
    samples: fn(&T, &mut Samples<'_>),
) -> Family<T> {
    Family {
        name,
        kind: Kind::Counter,
        help,
        samples,
    }
}

const OF_DAEMON: &[Family<DaemonFigures>] = &[
    gauge(
        "keepfresh_build_info",
        "Always 1; the version is in the label.",
        |_, out| {
            out.labelled(&[("version", env!("CARGO_PKG_VERSION"))], 1);
        },
    ),
    gauge(
        "process_start_time_seconds",
        "When the daemon started, as Unix time.",
        |it, out| {
            out.moment(Some(it.started));
        },
    ),
    gauge(
        "keepfresh_scheduler_lag_seconds",
        "The scheduler's worst delay in the last one to two minutes.",
        |it, out| out.put(it.scheduler_lag_seconds),
    ),
    gauge(
        "keepfresh_calls_in_flight",
        "Calls to servers that are not answered yet.",
        |it, out| {
            out.put(it.calls_in_flight);
        },
    ),
    gauge(
        "keepfresh_config_good",
        "Whether the config that was read last is in force.",
        |it, out| {
            out.truth(it.config_good);
        },
    ),
    gauge(
        "keepfresh_config_read_timestamp_seconds",
        "When the config in force was read, as Unix time.",
        |it, out| {
            out.moment(Some(it.config_read));
        },
    ),
    counter(
        "keepfresh_clock_jumps",
        "Times that the wall clock jumped or the machine was suspended.",
        |it, out| {
            out.put(it.clock_jumps);
        },
    ),
    counter(
        "keepfresh_alert_runs",
        "Runs of the alerts' programs, and messages to their webhooks, by how they ended.",
        |it, out| {
            out.runs(it.alert_runs);
        },
    ),
];

const OF_PROCESS: &[Family<Process>] = &[
    counter(
        "process_cpu_seconds",
        "Processor time that the daemon has used.",
        |it, out| out.known(it.cpu_seconds),
    ),
    gauge(
        "process_resident_memory_bytes",
        "Memory that the daemon holds.",
        |it, out| {
            out.known(it.resident_memory_bytes);
        },
    ),
    gauge("process_open_fds", "Open file descriptors.", |it, out| {
        out.known(it.open_fds);
    }),
    gauge(
        "process_max_fds",
        "File descriptors that the daemon may open.",
        |it, out| out.known(it.max_fds),
    ),
];

const OF_SESSION: &[Family<SessionFigures>] = &[
    gauge(
        "keepfresh_session_ready",
        "Whether a good token is published.",
        |it, out| out.truth(it.ready),
    ),
    gauge(
        "keepfresh_session_state",
        "1 for the state that the session is in, else 0.",
        |it, out| {
            for phase in PHASES {
                out.labelled(&[("state", phase_word(phase))], u8::from(it.phase == phase));
            }
        },
    ),
    gauge(
        "keepfresh_session_contact",
        "1 for a session whose config names an owner or a runbook.",
        |it, out| {
            let (owner, runbook) = (
                it.owner.as_deref().unwrap_or_default(),
                it.runbook.as_deref().unwrap_or_default(),
            );
            if !(owner.is_empty() && runbook.is_empty()) {
                out.labelled(&[("owner", owner), ("runbook", runbook)], 1);
            }
        },
    ),
    gauge(
        "keepfresh_session_generation",
        "Generation of the current token; rises with each new one.",
        |it, out| {
            out.known(it.generation);
        },
    ),
    gauge(
        "keepfresh_session_idle_deadline_timestamp_seconds",
        "When the session idles out if no program uses it, as Unix time.",
        |it, out| out.moment(it.moments.idle_deadline),
    ),
    gauge(
        "keepfresh_session_token_expiry_timestamp_seconds",
        "When the token ends by itself, as Unix time.",
        |it, out| out.moment(it.moments.token_expiry),
    ),
    gauge(
        "keepfresh_session_refresh_token_expiry_timestamp_seconds",
        "When the refresh token ends, unused, as Unix time.",
        |it, out| out.moment(it.moments.refresh_token_expiry),
    ),
    gauge(
        "keepfresh_session_login_expiry_timestamp_seconds",
        "When the server ends the session even if it is used, as Unix time.",
        |it, out| out.moment(it.moments.login_expiry),
    ),
    gauge(
        "keepfresh_session_next_action_timestamp_seconds",
        "When the daemon acts next by itself, as Unix time.",
        |it, out| out.moment(it.moments.next_action),
    ),
    gauge(
        "keepfresh_session_token_issued_timestamp_seconds",
        "When the token was issued, as Unix time.",
        |it, out| {
            out.moment(it.moments.token_issued);
        },
    ),
    gauge(
        "keepfresh_session_login_timestamp_seconds",
        "When the last full login was, as Unix time.",
        |it, out| {
            out.moment(it.moments.login);
        },
    ),
    gauge(
        "keepfresh_session_activity_timestamp_seconds",
        "When the session was last seen used, as Unix time.",
        |it, out| out.moment(it.moments.activity),
    ),
    gauge(
        "keepfresh_session_idle_timeout_seconds",
        "The server's idle timeout as the daemon assumes it now.",
        |it, out| {
            out.known(it.idle_timeout_seconds);
        },
    ),
    gauge(
        "keepfresh_session_refresh_token_lifetime_seconds",
        "How long the refresh token lives unused.",
        |it, out| {
            out.known(it.refresh_token_lifetime_seconds);
        },
    ),
    gauge(
        "keepfresh_session_persisted",
        "Whether the latest state is on disk.",
        |it, out| out.truth(it.persisted),
    ),
    gauge(
        "keepfresh_session_files_failing",
        "Published files that are missing or wrong.",
        |it, out| {
            out.put(it.files_failing);
        },
    ),
    gauge(
        "keepfresh_session_clock_skew_seconds",
        "The server's clock minus this machine's.",
        |it, out| {
            out.put(it.clock_skew_seconds);
        },
    ),
    gauge(
        "keepfresh_session_warning",
        "Whether an early warning holds.",
        |it, out| {
            for (warning, holds) in &it.warnings {
                out.labelled(&[("warning", warning)], u8::from(*holds));
            }
        },
    ),
    gauge(
        "keepfresh_session_broken",
        "Whether an internal error has stopped the session.",
        |it, out| {
            out.truth(it.broken);
        },
    ),
    gauge(
        "keepfresh_session_quota_used",
        "How much of an allowance is used, as the server counts.",
        |it, out| {
            it.quotas
                .iter()
                .for_each(|quota| out.labelled(&[("quota", &quota.name)], quota.used));
        },
    ),
    gauge(
        "keepfresh_session_quota_limit",
        "How large the allowance is.",
        |it, out| {
            it.quotas
                .iter()
                .for_each(|quota| out.labelled(&[("quota", &quota.name)], quota.limit));
        },
    ),
    counter(
        "keepfresh_session_calls",
        "Calls to the server by request and verdict.",
        |it, out| {
            for (request, verdict, count) in &it.calls {
                out.labelled(
                    &[("request", request_word(*request)), ("verdict", verdict)],
                    *count,
                );
            }
        },
    ),
    counter(
        "keepfresh_session_publications",
        "Writes and removals of published files by outcome.",
        |it, out| {
            out.labelled(&[("outcome", "published")], it.publications.published);
            out.labelled(&[("outcome", "withdrawn")], it.publications.withdrawn);
            out.labelled(&[("outcome", "failed")], it.publications.failed);
        },
    ),
    counter(
        "keepfresh_gateway_requests",
        "Jobs' requests through the session's gateway by outcome.",
        |it, out| {
            for (outcome, count) in it.gateway.iter().flat_map(|it| {
                [
                    ("passed", it.passed),
                    ("sent_again", it.sent_again),
                    ("refused", it.refused),
                    ("without_session", it.without_session),
                    ("failed", it.failed),
                ]
            }) {
                out.labelled(&[("outcome", outcome)], count);
            }
        },
    ),
    counter(
        "keepfresh_gateway_bytes",
        "Bytes of bodies through the session's gateway, as the job sees them.",
        |it, out| {
            if let Some(gateway) = it.gateway {
                out.labelled(&[("direction", "sent")], gateway.bytes_sent);
                out.labelled(&[("direction", "received")], gateway.bytes_received);
            }
        },
    ),
    gauge(
        "keepfresh_gateway_in_flight",
        "Requests that are under way in the session's gateway.",
        |it, out| out.known(it.gateway.map(|gateway| gateway.in_flight)),
    ),
    counter(
        "keepfresh_session_hook_runs",
        "Runs of the session's hooks by outcome.",
        |it, out| {
            out.runs(it.hook_runs);
        },
    ),
];

/// Writes everything out.
pub(super) fn render(snapshot: &Snapshot, process: &Process, form: Form) -> String {
    let mut writer = Writer::new(form);
    all(OF_DAEMON, &snapshot.daemon, &mut writer);
    all(OF_PROCESS, process, &mut writer);
    for family in OF_SESSION {
        writer.family(family.name, family.kind, family.help);
        for session in &snapshot.sessions {
            (family.samples)(
                session,
                &mut Samples {
                    writer: &mut writer,
                    session: Some(&session.name),
                },
            );
        }
    }
    writer.finish()
}

fn all<T>(families: &[Family<T>], of: &T, writer: &mut Writer) {
    for family in families {
        writer.family(family.name, family.kind, family.help);
        (family.samples)(
            of,
            &mut Samples {
                writer,
                session: None,
            },
        );
    }
}

/// The name of every sample with its help, in the order of the exposition.
pub fn names() -> Vec<(String, &'static str)> {
    let daemon = OF_DAEMON
        .iter()
        .map(|it| (sample_name(it.name, it.kind), it.help));
    let process = OF_PROCESS
        .iter()
        .map(|it| (sample_name(it.name, it.kind), it.help));
    let session = OF_SESSION
        .iter()
        .map(|it| (sample_name(it.name, it.kind), it.help));
    daemon.chain(process).chain(session).collect()
}

/// The samples of one family, of one session or of the daemon.
struct Samples<'w> {
    writer: &'w mut Writer,
    session: Option<&'w str>,
}

impl Samples<'_> {
    fn put(&mut self, value: impl std::fmt::Display) {
        self.labelled(&[], value);
    }

    fn known(&mut self, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.put(value);
        }
    }

    fn truth(&mut self, holds: bool) {
        self.put(u8::from(holds));
    }

    fn runs(&mut self, runs: Option<Runs>) {
        if let Some(Runs {
            succeeded,
            failed,
            timed_out,
        }) = runs
        {
            self.labelled(&[("outcome", "succeeded")], succeeded);
            self.labelled(&[("outcome", "failed")], failed);
            self.labelled(&[("outcome", "timed_out")], timed_out);
        }
    }

    /// Unix time with milliseconds.
    fn moment(&mut self, moment: Option<Timestamp>) {
        if let Some(millis) = moment.map(Timestamp::as_millisecond) {
            self.put(format_args!(
                "{}.{:03}",
                millis.div_euclid(1000),
                millis.rem_euclid(1000)
            ));
        }
    }

    fn labelled(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        let session = self.session.map(|name| ("session", name));
        let labels: Vec<_> = session.into_iter().chain(labels.iter().copied()).collect();
        self.writer.sample(&labels, value);
    }
}

const PHASES: [Phase; 7] = [
    Phase::Starting,
    Phase::Alive,
    Phase::Renewing,
    Phase::Recovering,
    Phase::NeedsAttention,
    Phase::Paused,
    Phase::Dormant,
];

fn phase_word(phase: Phase) -> &'static str {
    match phase {
        Phase::Starting => "starting",
        Phase::Alive => "alive",
        Phase::Renewing => "renewing",
        Phase::Recovering => "recovering",
        Phase::NeedsAttention => "needs_attention",
        Phase::Paused => "paused",
        Phase::Dormant => "dormant",
    }
}

fn request_word(request: Request) -> &'static str {
    match request {
        Request::Ping => "ping",
        Request::Introspect => "introspect",
        Request::Renew => "renew",
        Request::Login => "login",
        Request::Logout => "logout",
    }
}
