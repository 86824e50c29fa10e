//! What the demo prints: one line per event, with the seconds since the start.

use std::io::{self, IsTerminal as _, Write as _};

use super::DemoError;
use crate::cli::status::Paper;
use crate::clock;
use crate::time::Instant;

const BOLD: &str = "\x1b[1m";
const DIM: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Who is speaking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Server,
    File,
    Demo,
}

impl Voice {
    fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::File => "file",
            Self::Demo => "demo",
        }
    }
}

/// Where the text of a line begins: behind the seconds and who speaks.
const INDENT: usize = 17;

pub(super) struct Narrator {
    colour: bool,
    paper: Paper,
    started: Instant,
}

impl Narrator {
    pub(super) fn new(plain: bool) -> Self {
        let wanted = !plain && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            colour: wanted && io::stdout().is_terminal(),
            paper: Paper::of_stdout(),
            started: clock::boottime(),
        }
    }

    /// A new chapter.
    pub(super) fn chapter(&self, title: &str) -> Result<(), DemoError> {
        let (bold, reset) = if self.colour { (BOLD, RESET) } else { ("", "") };
        let title = self.paper.folded(title, 0).join("\n");
        print(&format!("\n{bold}{title}{reset}\n"))
    }

    /// Something that happened now.
    pub(super) fn say(&self, voice: Voice, text: &str) -> Result<(), DemoError> {
        let (dim, reset) = if self.colour { (DIM, RESET) } else { ("", "") };
        let seconds = clock::boottime().since(self.started).as_secs_f64();
        let blank = format!("\n{}", " ".repeat(INDENT));
        let text = self.paper.folded(text, INDENT).join(&blank);
        print(&format!(
            "{dim}{seconds:6.2}s  {:<6}{reset}  {text}\n",
            voice.name()
        ))
    }
}

fn print(text: &str) -> Result<(), DemoError> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(DemoError::Output)
}
