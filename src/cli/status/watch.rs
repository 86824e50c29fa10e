//! `keepfresh status --watch`: the sessions on the screen, kept up to date; where there is none, a line for each change.

mod desk;
mod follow;
mod frame;
mod screen;
mod strip;

use std::env;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anstream::{AutoStream, ColorChoice};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::{Args, fetch, glyphs, line};
use crate::api::SessionStatus;
use crate::api::client::Client;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::clock;
use crate::time::Instant;
use desk::{Desk, Wish};
use frame::View;
use screen::Screen;

/// Countdowns go by the second.
const PACE: Duration = Duration::from_secs(1);

/// A daemon that hangs must not hold up the keys for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asking takes the daemon and us at most one part in so many.
const SHARE: u32 = 20;

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    let mut feed = Feed::new(client.impatient(PATIENCE), args.names.clone());
    let dumb = env::var_os("TERM").is_none_or(|terminal| terminal.is_empty() || terminal == "dumb");
    if args.json {
        follow::json(&mut feed)
    } else if dumb || !io::stdout().is_terminal() {
        follow::lines(&mut feed)
    } else {
        feed.first()?;
        show(&mut feed).map_err(Failure::Output)
    }
}

/// What the daemon said last, and what keeps it from saying more.
struct Feed {
    client: Client,
    names: Vec<String>,
    sessions: Vec<SessionStatus>,
    heard: Option<Timestamp>,
    trouble: Option<String>,
    due: Instant,
}

impl Feed {
    fn new(client: Client, names: Vec<String>) -> Self {
        let due = clock::boottime();
        Self {
            client,
            names,
            sessions: Vec::new(),
            heard: None,
            trouble: None,
            due,
        }
    }

    /// The first answer; an error that does not pass by itself ends the command.
    fn first(&mut self) -> Result<(), Failure> {
        match self.ask() {
            Err(failure) => match failure.exit() {
                Exit::NotRunning | Exit::TryAgain => Ok(()),
                Exit::Done
                | Exit::Failed
                | Exit::Usage
                | Exit::NotAllowed
                | Exit::Config
                | Exit::NeedsPerson
                | Exit::NoSuchSession => Err(failure),
            },
            Ok(()) => Ok(()),
        }
    }

    /// Asks again when it is time.
    fn refresh(&mut self) {
        if self.due <= clock::boottime() {
            // What went wrong is kept, to be shown.
            let _ = self.ask();
        }
    }

    fn ask(&mut self) -> Result<(), Failure> {
        let asked = clock::boottime();
        let answer = fetch(&self.client, &self.names);
        let answered = clock::now();
        self.due = asked
            .after(PACE)
            .max(answered.boot.after(answered.boot.since(asked) * SHARE));
        match answer {
            Ok(list) => {
                self.sessions = list.sessions;
                self.heard = Some(answered.wall);
                self.trouble = None;
                Ok(())
            }
            Err(failure) => {
                self.trouble = Some(failure.sentence());
                Err(failure)
            }
        }
    }
}

/// Draws until somebody has seen enough.
fn show(feed: &mut Feed) -> io::Result<Exit> {
    let colour = AutoStream::choice(&io::stdout()) != ColorChoice::Never;
    let (zone, glyphs) = (TimeZone::system(), glyphs::of_locale());
    let mut screen = Screen::enter(line::Look { colour, glyphs })?;
    let mut desk = Desk::default();
    loop {
        let size = screen.size();
        let Feed {
            sessions,
            heard,
            trouble,
            ..
        } = &*feed;
        let now = clock::now().wall;
        let (trouble, keys) = (trouble.as_deref(), screen.has_keys());
        desk.settle(sessions);
        let view = View {
            sessions,
            trouble,
            heard: *heard,
            now,
            zone: &zone,
            glyphs,
            desk: &desk,
            keys,
        };
        let frame = frame::frame(&view, size);
        screen.draw(&frame.lines)?;
        desk.offset = frame.offset;
        let pressed = screen.wait(until_next_second(now))?;
        if pressed.is_empty() {
            screen.obey()?;
        }
        for key in pressed {
            match desk.press(key, &feed.sessions, frame.reach) {
                Some(Wish::Quit) => return Ok(Exit::Done),
                Some(Wish::Suspend) => screen.suspend()?,
                None => {}
            }
        }
        feed.refresh();
    }
}

/// The clock on the screen shows each second once.
fn until_next_second(now: Timestamp) -> Duration {
    let passed = u64::from(now.subsec_nanosecond().unsigned_abs());
    PACE.saturating_sub(Duration::from_nanos(passed))
        .max(Duration::from_millis(5))
}
