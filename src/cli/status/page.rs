//! All that is known of one session, on a page.

use clap::builder::styling::Style;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unicode_width::UnicodeWidthStr as _;

use super::Paper;
use super::line::Line;
use super::phrases::{BOLD, DIM, brief_next, counts, end, several, state_word, style};
use super::remarks::{Kind, remarks};
use crate::api::{Recent, SessionStatus, State, What};
use crate::cli::words;

/// So many of the latest calls are shown.
const CALLS: usize = 8;
/// Where what is said of a thing begins.
const LABEL: usize = 12;
const INDENT: &str = "    ";

/// The page in lines; nothing is on it that is not known.
pub(super) fn page(
    session: &SessionStatus,
    now: Timestamp,
    zone: &TimeZone,
    paper: &Paper,
) -> Vec<Line> {
    let mut page = Page {
        lines: Vec::new(),
        now,
        zone,
        paper,
    };
    page.lines.push(
        Line::of(BOLD, &session.session)
            .then(Style::new(), "  ")
            .then(style(session.state), state_word(session.state)),
    );
    page.trouble(session);
    page.lines.push(Line::default());
    // On a small screen the first lines are all that is seen.
    page.say("next", &next(session, now, zone));
    page.life(session);
    page.identity(session);
    page.calls(session);
    page.surroundings(session);
    page.lines
}

struct Page<'a> {
    lines: Vec<Line>,
    now: Timestamp,
    zone: &'a TimeZone,
    paper: &'a Paper,
}

impl Page<'_> {
    fn say(&mut self, label: &str, text: &str) {
        self.say_in(Style::new(), label, text);
    }

    fn say_in(&mut self, style: Style, label: &str, text: &str) {
        let head = Line::of(DIM, &format!("  {label:<width$}", width = LABEL - 2));
        let room = self
            .paper
            .columns
            .map_or(usize::MAX, |columns| columns.saturating_sub(LABEL));
        if text.split(' ').all(|word| word.width() <= room) {
            self.lines.extend(self.paper.sentence(&head, style, text));
            return;
        }
        // On small paper an address begins below its label.
        if !label.is_empty() {
            self.lines.push(Line::of(DIM, &format!("  {label}")));
        }
        self.lines
            .extend(self.paper.sentence(&Line::of(DIM, INDENT), style, text));
    }

    /// What is wrong and what to do comes before all facts.
    fn trouble(&mut self, session: &SessionStatus) {
        for remark in remarks(session, self.now)
            .iter()
            .filter(|remark| remark.kind != Kind::Note)
        {
            let indent = Line::of(Style::new(), "  ");
            self.lines.extend(
                self.paper
                    .sentence(&indent, remark.kind.style(), &remark.text),
            );
        }
    }

    fn identity(&mut self, session: &SessionStatus) {
        self.say(
            "server",
            &format!("{} at {}", session.provider, session.url),
        );
        if let Some(instance) = session
            .instance_url
            .as_ref()
            .filter(|instance| **instance != session.url)
        {
            self.say("instance", instance);
        }
        match (&session.account, &session.grant) {
            (Some(account), Some(grant)) => {
                self.say("account", &format!("{account}, logged in by {grant}"));
            }
            (Some(account), None) => self.say("account", account),
            (None, Some(grant)) => self.say("login", &format!("by {grant}")),
            (None, None) => {}
        }
    }

    fn life(&mut self, session: &SessionStatus) {
        let deadlines = [
            (session.idle_deadline, "unused, the session ends"),
            (session.token_expires_at, "the token ends"),
            (session.max_lifetime_at, "the login ends"),
            (
                session.refresh_token_expires_at,
                "the refresh token ends, unused,",
            ),
        ];
        let mut told: Vec<(Timestamp, &str)> = deadlines
            .into_iter()
            .filter_map(|(at, what)| Some((at?, what)))
            .collect();
        told.sort_by_key(|(at, _)| *at);
        for (index, (at, what)) in told.into_iter().enumerate() {
            let text = format!("{what} {} ({})", ahead(at, self.now), self.local(at));
            self.say(if index == 0 { "deadlines" } else { "" }, &text);
        }
        self.say("token", &self.token(session));
        self.say("window", &window(session));
        let moments = [
            (session.logged_in_at, "logged in"),
            (session.last_activity_at, "last used"),
        ];
        let told: Vec<String> = moments
            .into_iter()
            .filter_map(|(at, what)| Some(format!("{what} {}", words::ago(at?, self.now))))
            .collect();
        if !told.is_empty() {
            self.say("history", &told.join(", "));
        }
    }

    fn calls(&mut self, session: &SessionStatus) {
        self.say(
            "calls",
            &format!("{} since the daemon started", counts(&session.counts)),
        );
        for happening in session.recent.iter().rev().take(CALLS) {
            let style = if happening.success {
                Style::new()
            } else {
                Kind::Trouble.style()
            };
            self.say_in(style, "", &self.happening(happening));
        }
    }

    fn surroundings(&mut self, session: &SessionStatus) {
        for (index, file) in session.files.iter().enumerate() {
            let holds = match (&file.error, file.generation) {
                (Some(_), _) => "not written, see above".to_owned(),
                (None, Some(generation)) => format!("holds #{generation}"),
                (None, None) => "absent".to_owned(),
            };
            self.say(
                if index == 0 { "files" } else { "" },
                &format!("{} {holds}", file.path),
            );
        }
        if let Some(gateway) = &session.gateway {
            let port = gateway.listen.map(|listen| format!(" and {listen}"));
            let only = if gateway.only {
                ", which alone has the token"
            } else {
                ""
            };
            let text = format!(
                "{}{}{only}",
                gateway.socket.display(),
                port.unwrap_or_default()
            );
            self.say("gateway", &text);
        }
        if let Some(budget) = &session.login_budget {
            let next = budget.next_at.filter(|at| *at > self.now);
            let next = next
                .map(|at| format!("; the next may leave {}", words::ahead(at, self.now)))
                .unwrap_or_default();
            let override_it = if budget.left == 0 {
                format!(
                    "; `keepfresh login {}` logs in all the same",
                    session.session
                )
            } else {
                String::new()
            };
            let text = format!(
                "{} of {} automatic logins left this hour{next}{override_it}",
                budget.left, budget.limit
            );
            self.say("budget", &text);
        }
        for quota in &session.quotas {
            self.say(
                "quota",
                &format!(
                    "{}: {} of {} used, by the server's word",
                    quota.name, quota.used, quota.limit
                ),
            );
        }
        for warning in &session.warnings {
            self.say_in(
                Kind::Trouble.style(),
                "warning",
                &warning_in_words(warning, &session.session),
            );
        }
        for note in remarks(session, self.now)
            .iter()
            .filter(|remark| remark.kind == Kind::Note)
        {
            self.say("note", &note.text);
        }
    }

    fn token(&self, session: &SessionStatus) -> String {
        let Some(generation) = session.generation else {
            return "none yet".to_owned();
        };
        let issued = session
            .token_issued_at
            .map(|at| format!(", issued {}", words::ago(at, self.now)))
            .unwrap_or_default();
        let published = if session.published {
            "published"
        } else {
            "withdrawn: no file holds it"
        };
        format!("#{generation}{issued}, {published}")
    }

    fn happening(&self, happening: &Recent) -> String {
        let times = if happening.times > 1 {
            format!(", {} times", happening.times)
        } else {
            String::new()
        };
        let what = match happening.what {
            What::Ping => "ping",
            What::Introspect => "introspection",
            What::Renew => "renewal",
            What::Login => "login",
            What::Logout => "logout",
            What::Loss => "token lost",
            What::Other => "something else",
        };
        format!(
            "{} {what}: {}{times}",
            self.local(happening.at),
            happening.outcome.replace('_', " ")
        )
    }

    /// `14:03:22`, with the day where it is another one.
    fn local(&self, at: Timestamp) -> String {
        let (at, now) = (
            at.to_zoned(self.zone.clone()),
            self.now.to_zoned(self.zone.clone()),
        );
        let format = if at.date() == now.date() {
            "%H:%M:%S"
        } else {
            "%F %H:%M"
        };
        at.strftime(format).to_string()
    }
}

fn window(session: &SessionStatus) -> String {
    match session.idle_timeout_seconds {
        Some(seconds) => {
            let timeout = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
            format!(
                "the server ends the session after {} without use",
                words::span(timeout)
            )
        }
        None => "the session does not idle out".to_owned(),
    }
}

fn ahead(at: Timestamp, now: Timestamp) -> String {
    if at > now {
        words::ahead(at, now)
    } else {
        format!("ended {}", words::ago(at, now)).replacen("ended ", "", 1)
    }
}

fn next(session: &SessionStatus, now: Timestamp, zone: &TimeZone) -> String {
    let Some(next) = &session.next else {
        return brief_next(session, now);
    };
    let late = session.state == State::Alive
        && end(session).is_some_and(|(end, _)| end < next.at && end > now);
    let late = if late {
        "; a deadline comes before it"
    } else {
        ""
    };
    let clock = next.at.to_zoned(zone.clone()).strftime("%H:%M:%S %Z");
    format!(
        "{} at {clock} ({}){late}",
        brief_next(session, now),
        next.why
    )
}

fn warning_in_words(word: &str, session: &str) -> String {
    match word {
        "refresh_token_aging" => {
            format!(
                "the refresh token nears its end, unused: `keepfresh renew {session}` uses it now"
            )
        }
        "logins_frequent" => format!(
            "logins are more frequent than {} in 6 h: something ends the session early; `journalctl -u keepfresh SESSION={session} EVENT=died` says when",
            several(3, "login")
        ),
        "quota_low" => "an allocation of the server runs low, see quota".to_owned(),
        newer => newer.replace('_', " "),
    }
}

#[cfg(test)]
mod tests;
