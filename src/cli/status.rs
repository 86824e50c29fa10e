//! `keepfresh status`: the sessions in a table, a page about one of them, or all of them on the screen.

pub(super) mod glyphs;
mod line;
mod page;
mod phrases;
mod remarks;
mod table;
mod watch;

use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use clap::builder::styling::Style;
use jiff::Timestamp;
use rustix::termios::tcgetwinsize;

use super::exit::Exit;
use super::failure::Failure;
use super::{complete, output, session_path};
use crate::api::client::{Call, Client};
use crate::api::{SessionList, SessionStatus};
use crate::clock;
use glyphs::Glyphs;
use line::{Line, LongWord, Look};
pub(super) use phrases::{UNDER_WAY, state_word};

/// Where a terminal does not say how wide it is.
const USUAL_COLUMNS: usize = 80;

/// What `status` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The sessions to show; of one alone, all that is known [default: all]
    #[arg(value_name = "NAME", add = complete::sessions())]
    names: Vec<String>,
    /// Print JSON: an object with the list `sessions`
    #[arg(long)]
    json: bool,
    /// Add the generation of the token and the server, and cut nothing
    #[arg(long, conflicts_with_all = ["json", "watch"])]
    wide: bool,
    /// Keep it on the screen, up to date, until q; where the output is no terminal, a line for each change
    #[arg(long, short)]
    watch: bool,
}

pub(super) fn run(client: &Client, args: &Args) -> Result<Exit, Failure> {
    if args.watch {
        return watch::run(client, args);
    }
    let list = fetch(client, &args.names)?;
    if args.json {
        return output::print_json(&list);
    }
    let (paper, now) = (Paper::of_stdout(), clock::now().wall);
    output::print(&match (args.names.len(), list.sessions.as_slice()) {
        (1, [session]) if !args.wide => paper.text(&page::page(
            session,
            now,
            &jiff::tz::TimeZone::system(),
            &paper,
        )),
        (_, sessions) if args.wide => table::wide(sessions, now, &paper),
        (_, sessions) => table::table(sessions, now, &paper),
    })
}

/// All that is known of the sessions, without colours: the table, and the page of each.
pub(super) fn in_full(sessions: &[SessionStatus], now: Timestamp, paper: &Paper) -> String {
    let zone = jiff::tz::TimeZone::system();
    let pages = sessions
        .iter()
        .map(|session| paper.text(&page::page(session, now, &zone, paper)));
    let all = match paper.columns {
        None => table::wide(sessions, now, paper),
        Some(_) => table::table(sessions, now, paper),
    };
    let text: Vec<String> = std::iter::once(all).chain(pages).collect();
    anstream::adapter::strip_str(&text.join("\n")).to_string()
}

/// What came of an order to this session, as its row of the table.
pub(super) fn print_row(session: &SessionStatus) -> Result<Exit, Failure> {
    output::print(&table::single(
        session,
        clock::now().wall,
        &Paper::of_stdout(),
    ))
}

/// All sessions that the caller may see, or those named.
fn fetch(client: &Client, names: &[String]) -> Result<SessionList, Failure> {
    let call = |path| Call {
        path,
        repeatable: true,
        ..Call::default()
    };
    if names.is_empty() {
        return Ok(client.json(&call("/v1/sessions".to_owned()))?);
    }
    let each = names
        .iter()
        .map(|name| client.json::<SessionStatus>(&call(session_path(name, ""))));
    Ok(SessionList {
        sessions: each.collect::<Result<_, _>>()?,
    })
}

/// What is written on: how wide it is, and which characters it shows.
#[derive(Clone, Copy)]
pub(super) struct Paper {
    /// None where nothing is broken or cut: each sentence is one line of a pipe or file.
    columns: Option<usize>,
    glyphs: &'static Glyphs,
    long_word: LongWord,
}

impl Paper {
    pub(super) fn of_a_file() -> Self {
        Self {
            columns: None,
            glyphs: glyphs::of_locale(),
            long_word: LongWord::Whole,
        }
    }

    pub(super) fn of_stdout() -> Self {
        Self::of(&io::stdout())
    }

    /// This paper, for lines that all begin so many columns in.
    pub(super) fn behind(self, indent: usize) -> Self {
        Self {
            columns: self.columns.map(|columns| columns.saturating_sub(indent)),
            ..self
        }
    }

    #[cfg(test)]
    pub(super) fn of_columns(columns: usize) -> Self {
        Self {
            columns: Some(columns),
            ..Self::of_a_file()
        }
    }

    pub(super) fn of_stderr() -> Self {
        Self::of(&io::stderr())
    }

    fn of(stream: &(impl IsTerminal + AsFd)) -> Self {
        let columns = stream.is_terminal().then(|| match tcgetwinsize(stream) {
            Ok(size) if size.ws_col > 0 => size.ws_col.into(),
            Ok(_) | Err(_) => USUAL_COLUMNS,
        });
        Self {
            columns,
            glyphs: glyphs::of_locale(),
            long_word: LongWord::Whole,
        }
    }

    /// Lines for [`output::print`], which leaves the colours out where nobody would see them.
    fn text(&self, lines: &[Line]) -> String {
        let look = Look {
            colour: true,
            glyphs: self.glyphs,
        };
        lines
            .iter()
            .map(|line| line.render(usize::MAX, look) + "\n")
            .collect()
    }

    /// `text` in lines that end where the paper ends when each begins `indent` columns in.
    pub(super) fn folded(&self, text: &str, indent: usize) -> Vec<String> {
        match self.columns {
            Some(columns) => line::wrapped(text, columns.saturating_sub(indent), self.long_word),
            None => vec![text.to_owned()],
        }
    }

    /// How many columns there are beyond the first so many.
    pub(super) fn room(&self, indent: usize) -> usize {
        self.columns
            .map_or(usize::MAX, |columns| columns.saturating_sub(indent))
    }

    /// A sentence in lines that end where the paper ends, the first behind `head` and all as far in.
    fn sentence(&self, head: &Line, style: Style, text: &str) -> Vec<Line> {
        let indent = head.width();
        let lines = self.folded(text, indent).into_iter().enumerate();
        let blank = || Line::of(Style::new(), &" ".repeat(indent));
        lines
            .map(|(row, text)| if row == 0 { head.clone() } else { blank() }.then(style, &text))
            .collect()
    }
}
