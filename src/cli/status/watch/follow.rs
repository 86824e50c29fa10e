//! `status --watch` into a pipe or a file: what changed, when it changed.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Feed;
use crate::api::{SessionStatus, State};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output;
use crate::cli::status::{glyphs, state_word};
use crate::clock;

const BACK: &str = "the daemon answers again";

/// What makes a new line.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    state: State,
    generation: Option<u64>,
    published: bool,
    reason: String,
}

impl Shown {
    fn of(session: &SessionStatus) -> Self {
        let SessionStatus {
            state,
            generation,
            published,
            reason,
            ..
        } = session;
        Self {
            state: *state,
            generation: *generation,
            published: *published,
            reason: reason.clone(),
        }
    }
}

/// A line for each session at first, then one for each change.
pub(super) fn lines(feed: &mut Feed) -> Result<Exit, Failure> {
    let zone = TimeZone::system();
    let mut shown: BTreeMap<String, Shown> = BTreeMap::new();
    let mut trouble = None;
    feed.first()?;
    loop {
        let moment = stamp(clock::now().wall, &zone);
        let mut news = Vec::new();
        if trouble != feed.trouble {
            trouble.clone_from(&feed.trouble);
            news.push(trouble.as_deref().unwrap_or(BACK).to_owned());
        }
        news.extend(changes(&mut shown, &feed.sessions));
        let text: Vec<String> = news
            .iter()
            .map(|line| format!("{moment}  {}\n", glyphs::of_locale().shown(line)))
            .collect();
        if !told(&text.concat())? || !wait(feed) {
            return Ok(Exit::Done);
        }
    }
}

/// The whole list as one line of JSON, each time something in it changed.
pub(super) fn json(feed: &mut Feed) -> Result<Exit, Failure> {
    let mut shown = String::new();
    let mut trouble = None;
    feed.first()?;
    loop {
        if trouble != feed.trouble {
            trouble.clone_from(&feed.trouble);
            output::complain(&format!(
                "keepfresh: {}",
                trouble.as_deref().unwrap_or(BACK)
            ));
        }
        let sessions = &feed.sessions;
        let text = serde_json::to_string(&serde_json::json!({ "sessions": sessions }))
            .map_err(|error| Failure::Output(error.into()))?;
        if feed.heard.is_some() && text != shown {
            if !told(&format!("{text}\n"))? {
                return Ok(Exit::Done);
            }
            shown = text;
        }
        if !wait(feed) {
            return Ok(Exit::Done);
        }
    }
}

/// What is new since the last look.
fn changes(shown: &mut BTreeMap<String, Shown>, sessions: &[SessionStatus]) -> Vec<String> {
    let mut lines = Vec::new();
    shown.retain(|name, _| {
        let stays = sessions.iter().any(|session| session.session == *name);
        if !stays {
            lines.push(format!("{name}  removed"));
        }
        stays
    });
    for session in sessions {
        let now = Shown::of(session);
        if shown.get(&session.session) != Some(&now) {
            lines.push(line(session));
            shown.insert(session.session.clone(), now);
        }
    }
    lines
}

fn line(session: &SessionStatus) -> String {
    let token = match (session.generation, session.published) {
        (None, _) => "no token".to_owned(),
        (Some(generation), true) => format!("#{generation}"),
        (Some(generation), false) => format!("#{generation} withdrawn"),
    };
    let remedy = session
        .attention
        .as_ref()
        .map_or_else(String::new, |needed| format!("; to do: {}", needed.remedy));
    format!(
        "{}  {}  {token}  {}{remedy}",
        session.session,
        state_word(session.state),
        session.reason
    )
}

fn stamp(now: Timestamp, zone: &TimeZone) -> String {
    now.to_zoned(zone.clone())
        .strftime("%Y-%m-%dT%H:%M:%S%:z")
        .to_string()
}

/// Whether there is still a reader.
fn told(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::Output(error)),
    }
}

/// Waits for the next look; false when the reader goes meanwhile.
fn wait(feed: &mut Feed) -> bool {
    let pause = feed
        .due
        .since(clock::boottime())
        .max(Duration::from_millis(50));
    let stdout = io::stdout();
    let mut gone = [PollFd::new(&stdout, PollFlags::empty())];
    // A pipe without a reader says so without being asked.
    if matches!(
        poll(&mut gone, Timespec::try_from(pause).ok().as_ref()),
        Ok(1..)
    ) {
        return false;
    }
    feed.refresh();
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::fake;

    #[test]
    fn only_what_changed_makes_a_line() {
        let mut shown = BTreeMap::new();
        let mut crm = fake::status("crm");
        let erp = fake::status("erp");
        let first = changes(&mut shown, &[crm.clone(), erp.clone()]);
        assert_eq!(
            first,
            ["crm  alive  #7  all is well", "erp  alive  #7  all is well"]
        );
        crm.counts.pings += 1;
        assert_eq!(changes(&mut shown, &[crm.clone(), erp]), [""; 0]);
        crm.state = State::Recovering;
        crm.published = false;
        crm.reason = "the server does not answer".to_owned();
        let then = changes(&mut shown, &[crm]);
        assert_eq!(
            then,
            [
                "erp  removed",
                "crm  recovering  #7 withdrawn  the server does not answer"
            ]
        );
    }
}
