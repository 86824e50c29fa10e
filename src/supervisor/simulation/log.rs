//! What happened in one world, for those who look at one seed.

use std::cell::RefCell;

use crate::driver::Done;
use crate::publish::Wanted;
use crate::secret::Secret;
use crate::supervisor::Incoming;
use crate::supervisor::effect::{Effect, Notice};
use crate::time::Instant;

/// So much of what happened before a failure is shown.
const LAST_LINES: usize = 1_500;

thread_local! {
    /// What happened lately, where one seed is looked at.
    static LOG: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// From now on what happens is written down.
pub(super) fn keep_log() {
    LOG.with(|log| *log.borrow_mut() = Some(Vec::new()));
}

/// The last lines of what happened.
pub(super) fn last_of_log() -> String {
    LOG.with(|log| {
        let log = log.borrow();
        let lines = log.as_deref().unwrap_or_default();
        let last = lines.len().saturating_sub(LAST_LINES);
        lines[last..].join("\n")
    })
}

pub(super) fn log(at: Instant, line: &dyn Fn() -> String) {
    LOG.with(|log| {
        if let Some(log) = log.borrow_mut().as_mut() {
            log.push(format!("{:>10} {}", at.as_millis(), line()));
        }
    });
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a log for whoever looks at one seed"
)]
pub(super) fn incoming_word(incoming: &Incoming) -> String {
    match incoming {
        Incoming::Done(done) => match done {
            Done::Called { of, answer, .. } => {
                format!("{} answered {}", of.name, answer.verdict.word())
            }
            Done::SessionSaved { of, written } => format!("{} saved: {}", of.name, written.is_ok()),
            Done::AccountSaved { key, problem } => format!("{key} saved: {}", problem.is_none()),
            Done::Landed { of, .. } => format!("{} landed", of.name),
            Done::SecretsRead { name, seed, .. } => {
                let seed = seed.as_ref().and_then(|seed| seed.as_ref().ok());
                format!("{name} secrets {:?}", seed.map(Secret::expose))
            }
            _ => "something done".to_owned(),
        },
        Incoming::Ask(ask) => format!("{ask:?}").chars().take(160).collect(),
        Incoming::Start => "START".to_owned(),
        Incoming::Duty(name, duty) => format!("{name} duty {duty:?}"),
        Incoming::Reload => "RELOAD".to_owned(),
        Incoming::Stop => "STOP".to_owned(),
        Incoming::ConfigRead(_) => "config read".to_owned(),
        Incoming::Loaded { config, .. } => format!("loaded {:?}", config.sessions.keys()),
        Incoming::Retired(number) => format!("retired {number}"),
        Incoming::ScrapersMoved(_) => "scrapers moved".to_owned(),
        Incoming::Time => "time".to_owned(),
    }
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "a log for whoever looks at one seed"
)]
pub(super) fn effect_word(effect: &Effect) -> String {
    match effect {
        Effect::Call(errand) => format!("  call {} {:?}", errand.of.name, errand.call.request),
        Effect::SaveSession { of, .. } => format!("  save {}", of.name),
        Effect::SaveAccount { key, .. } => format!("  save {key}"),
        Effect::Retire(retirement) => {
            format!("  retire {} {:?}", retirement.number, retirement.stale)
        }
        Effect::RemoveRecord { number, of } => format!("  remove the record {of} {number}"),
        Effect::Load { .. } => "  load".to_owned(),
        Effect::Abort(epoch) => format!("  abort {epoch}"),
        Effect::Publish(_) => "  publish".to_owned(),
        Effect::Notify(Notice::Ready(_)) => "  READY".to_owned(),
        _ => "  another effect".to_owned(),
    }
}

pub(super) fn wanted_word(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Show(published) => format!("shows {} {}", published.session, published.generation),
        Wanted::Withdraw => "is withdrawn".to_owned(),
        Wanted::Remove => "is removed".to_owned(),
    }
}
