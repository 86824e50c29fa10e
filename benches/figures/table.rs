//! The one table: Markdown, as docs/benchmarks.md holds it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// One line of the table.
pub(crate) struct Row {
    what: String,
    figure: String,
    beside: String,
    budget: String,
    met: Option<bool>,
}

impl Row {
    pub(crate) fn of(what: &str, figure: impl Into<String>) -> Self {
        let (beside, budget) = (String::new(), String::new());
        Self {
            what: what.into(),
            figure: figure.into(),
            beside,
            budget,
            met: None,
        }
    }

    /// What sets the limit, or what others need for the same.
    pub(crate) fn beside(mut self, beside: impl Into<String>) -> Self {
        self.beside = beside.into();
        self
    }

    pub(crate) fn budget(mut self, budget: impl Into<String>, met: bool) -> Self {
        self.budget = budget.into();
        self.met = Some(met);
        self
    }
}

pub(crate) struct Table {
    began: Instant,
    head: String,
    lines: String,
    path: PathBuf,
    regressed: bool,
}

impl Table {
    pub(crate) fn begin() -> Self {
        let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/bench.md"));
        Self {
            began: Instant::now(),
            head: head(),
            lines: String::new(),
            path,
            regressed: false,
        }
    }

    /// A part begins; what it measures follows.
    pub(crate) fn part(&mut self, name: &str) {
        eprintln!("{:4} s: {name}", self.began.elapsed().as_secs());
    }

    pub(crate) fn add(&mut self, row: Row) {
        let Row {
            what,
            figure,
            beside,
            budget,
            met,
        } = row;
        let verdict = match met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "",
        };
        let line = [what, figure, beside, budget, verdict.to_owned()]
            .map(|cell| cell.replace('|', "/"))
            .join(" | ");
        eprintln!("       {line}");
        let _ = writeln!(self.lines, "| {line} |");
        self.keep();
    }

    pub(crate) fn not_measured(&mut self, what: &str, why: &str) {
        self.add(Row::of(what, format!("not measured: {why}")));
    }

    /// Something costs more than it did: the run fails, once the table is whole.
    pub(crate) fn regressed(&mut self) {
        self.regressed = true;
    }

    pub(crate) fn end(self) -> ExitCode {
        self.keep();
        println!("{}", self.text());
        if self.regressed {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        }
    }

    /// After each line, so that an interrupted run has what it had.
    fn keep(&self) {
        fs::write(&self.path, self.text()).unwrap();
    }

    fn text(&self) -> String {
        let took = self.began.elapsed().as_secs();
        let Self { head, lines, .. } = self;
        format!(
            "{head}, {took} s in all.\n\n| what | figure | limit, or others | budget | |\n|---|---|---|---|---|\n{lines}"
        )
    }
}

/// Where and when.
fn head() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("", |it| it.1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    let [date, kernel, compiler] =
        [("date", "-uI"), ("uname", "-sr"), ("rustc", "-V")].map(|(program, argument)| {
            let output = Command::new(program).arg(argument).output();
            output.map_or(String::new(), |output| {
                String::from_utf8_lossy(&output.stdout).trim().to_owned()
            })
        });
    let model = model.trim();
    format!(
        "`make bench`, {date}, {model}, {cores} cores, {kernel}, {compiler}, load {load} at its start"
    )
}

/// The median and the worst of a hundred.
pub(crate) fn percentiles(took: &mut [Duration]) -> (Duration, Duration) {
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Three digits that matter.
pub(crate) fn shown(duration: Duration) -> String {
    let micros = duration.as_secs_f64() * 1e6;
    match micros {
        ..1.0 => format!("{:.0} ns", micros * 1e3),
        ..1e2 => format!("{micros:.1} µs"),
        ..1e3 => format!("{micros:.0} µs"),
        ..1e4 => format!("{:.2} ms", micros / 1e3),
        ..1e5 => format!("{:.1} ms", micros / 1e3),
        ..1e6 => format!("{:.0} ms", micros / 1e3),
        _ => format!("{:.1} s", micros / 1e6),
    }
}

/// As people write big numbers.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
