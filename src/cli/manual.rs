//! `keepfresh manual`: the man pages, from what `--help` and the example config say, so that neither can drift.

mod config;
mod markdown;

use std::io;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::exit::Exit;
use super::failure::Failure;
use super::topics::{TOPICS, Topic};
use super::{Cli, EXIT_CODES, output};

/// What `manual` takes.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// The page, as `keepfresh.1`; without it, the names of all pages
    #[arg(value_name = "PAGE")]
    page: Option<String>,
}

const ENVIRONMENT: [(&str, &str); 7] = [
    (
        "KEEPFRESH_CONFIG",
        "the configuration file of `run` and `check`, unless --config names one",
    ),
    (
        "KEEPFRESH_SOCKET",
        "the daemon's socket, for commands that ask the daemon",
    ),
    (
        "KEEPFRESH_DAEMON_USER",
        "the daemon's user, by name or number, for a socket in a directory where other users can write",
    ),
    ("KEEPFRESH_LOG", "what the daemon logs, as with --log"),
    (
        "RUNTIME_DIRECTORY, STATE_DIRECTORY",
        "where the daemon keeps socket, tokens and state, unless the config says so",
    ),
    ("NO_COLOR", "when set, no colours"),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "the proxy for calls to servers, unless the config names one",
    ),
];

const FILES: [(&str, &str); 5] = [
    (
        "/etc/keepfresh/config.toml, /etc/keepfresh/conf.d/*.toml",
        "the configuration; see keepfresh(5)",
    ),
    ("/run/keepfresh/tokens/", "the token files"),
    ("/run/keepfresh/keepfresh.sock", "the daemon's socket"),
    (
        "/var/lib/keepfresh/",
        "the state: tokens and refresh tokens, readable by the daemon alone",
    ),
    (
        "$XDG_CONFIG_HOME/keepfresh/, $XDG_RUNTIME_DIR/keepfresh/, $XDG_STATE_HOME/keepfresh/",
        "the same for a daemon that a user runs",
    ),
];

/// One page: its file name, and its text in roff.
struct Page {
    name: String,
    text: String,
}

/// Prints one page, or the names of all.
pub(super) fn run(args: &Args) -> Result<Exit, Failure> {
    let pages = pages().map_err(Failure::Output)?;
    let Some(wanted) = &args.page else {
        let names: Vec<&str> = pages.iter().map(|page| page.name.as_str()).collect();
        return output::print(&(names.join("\n") + "\n"));
    };
    match pages.iter().find(|page| page.name == *wanted) {
        Some(page) => output::print(&page.text),
        None => Err(Failure::NoSuchPage(wanted.clone())),
    }
}

fn pages() -> io::Result<Vec<Page>> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    let mut pages = vec![overview(&program)?];
    for command in program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        pages.push(page_of(command, &program)?);
    }
    pages.push(Page {
        name: "keepfresh.5".to_owned(),
        text: config::page(),
    });
    pages.extend(TOPICS.iter().map(page_on));
    // Terminals and locales without Unicode have neither.
    for page in &mut pages {
        page.text = page.text.replace('…', "\\&...").replace(['“', '”'], "\"");
    }
    Ok(pages)
}

/// keepfresh(1): all commands, and what they share.
fn overview(program: &Command) -> io::Result<Page> {
    let man = Man::new(program.clone());
    let mut text = title("keepfresh", "1", "User Commands").into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    commands(program).to_writer(&mut text)?;
    man.render_options_section(&mut text)?;
    exit_status().to_writer(&mut text)?;
    table("ENVIRONMENT", &ENVIRONMENT).to_writer(&mut text)?;
    table("FILES", &FILES).to_writer(&mut text)?;
    let related: Vec<String> = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
        .map(|command| format!("keepfresh-{}(1)", command.get_name()))
        .chain(["keepfresh(5)".to_owned()])
        .chain(
            TOPICS
                .iter()
                .map(|topic| format!("keepfresh-{}(7)", topic.name)),
        )
        .chain(["systemctl(1)".to_owned(), "journalctl(1)".to_owned()])
        .collect();
    see_also(&related).to_writer(&mut text)?;
    Ok(Page {
        name: "keepfresh.1".to_owned(),
        text: utf8(&text),
    })
}

/// The page of one command.
fn page_of(command: &Command, program: &Command) -> io::Result<Page> {
    let name = format!("{}-{}", program.get_name(), command.get_name());
    let man = Man::new(command.clone());
    let mut text = title(&name, "1", "User Commands").into_bytes();
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    exit_status().to_writer(&mut text)?;
    see_also(&["keepfresh(1)".to_owned(), "keepfresh(5)".to_owned()]).to_writer(&mut text)?;
    Ok(Page {
        name: format!("{name}.1"),
        text: utf8(&text),
    })
}

/// The page on one topic, from its file below `docs/`.
fn page_on(topic: &Topic) -> Page {
    let name = format!("keepfresh-{}", topic.name);
    let mut head = Roff::new();
    // Long names of tests, metrics and paths fit no line that is set to both margins.
    head.control("ad", ["l"]);
    head.control("SH", ["NAME"]);
    head.text([roman(format!("{name} - {}", topic.about))]);
    head.control("SH", ["DESCRIPTION"]);
    let mut foot = Roff::new();
    foot.control("SH", ["FILES"]);
    foot.text([
        italic(format!("/usr/share/doc/keepfresh/{}", topic.file)),
        roman(" is the same page."),
    ]);
    let related = see_also(&["keepfresh(1)".to_owned(), "keepfresh(5)".to_owned()]);
    let text = [head, markdown::set(topic.text), foot, related]
        .map(|part| part.to_roff())
        .concat();
    Page {
        text: title(&name, "7", "Documentation") + &text,
        name: format!("{name}.7"),
    }
}

/// The first line. Without a date: the same source gives the same bytes on any day.
fn title(name: &str, section: &str, manual: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        ".TH {} {section} \"\" \"keepfresh {version}\" \"{manual}\"\n",
        name.to_uppercase()
    )
}

fn commands(program: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in program
        .get_subcommands()
        .filter(|command| !command.is_hide_set())
    {
        roff.control("TP", []);
        roff.text([
            bold(format!("keepfresh-{}", command.get_name())),
            roman("(1)"),
        ]);
        roff.text([roman(
            command
                .get_about()
                .map(ToString::to_string)
                .unwrap_or_default(),
        )]);
    }
    roff
}

/// The same words as at the end of `--help`.
fn exit_status() -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    for (code, meaning) in EXIT_CODES
        .lines()
        .filter_map(|line| line.trim().split_once("  "))
    {
        roff.control("TP", []);
        roff.text([bold(code)]);
        roff.text([roman(meaning)]);
    }
    roff
}

fn table(heading: &str, rows: &[(&str, &str)]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    for (term, meaning) in rows {
        roff.control("TP", []);
        roff.text([italic(*term)]);
        roff.text([roman(*meaning)]);
    }
    roff
}

fn see_also(pages: &[String]) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman(pages.join(", "))]);
    roff
}

fn utf8(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
