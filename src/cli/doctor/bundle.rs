//! The report, as people and programs read it; every text in it is searched for secrets last.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};

use super::verdict::Verdict;
use crate::api::SessionStatus;
use crate::blotted::Blotted;
use crate::cli::check::live::Host;
use crate::cli::exit::Exit;
use crate::clock;
use crate::config::ConfigError;
use crate::secret::Secret;

/// Before every line of a section.
pub(super) const INDENT: &str = "     ";

/// All that was found.
pub(super) struct Bundle {
    pub(super) verdicts: Vec<Verdict>,
    /// What this user may not look at, and how to see it.
    pub(super) not_seen: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) sessions: Vec<SessionStatus>,
    pub(super) config_errors: Vec<ConfigError>,
    pub(super) hosts: Vec<Host>,
    /// Neither config nor daemon knows the session that was asked for.
    pub(super) unknown: bool,
    /// What must not be shown.
    pub(super) known: Vec<Secret>,
}

/// Facts of one kind.
#[derive(Serialize)]
pub(super) struct Section {
    name: &'static str,
    lines: Vec<String>,
}

impl Section {
    pub(super) fn new(name: &'static str, lines: Vec<String>) -> Self {
        Self { name, lines }
    }
}

impl Bundle {
    /// That something is wrong is said, and no failure of the report.
    pub(super) fn exit(&self) -> Exit {
        if self.unknown {
            Exit::NoSuchSession
        } else {
            Exit::Done
        }
    }

    pub(super) fn text(&self) -> String {
        let at = clock::now().wall;
        let version = env!("CARGO_PKG_VERSION");
        let mut text = format!(
            "keepfresh doctor {version}, {}\n\nVERDICT\n",
            at.strftime("%F %T UTC")
        );
        for (index, verdict) in self.verdicts.iter().enumerate() {
            let number = index + 1;
            self.write(&mut text, &format!("{number:>3}. "), &verdict.problem);
            if let Some(remedy) = &verdict.remedy {
                self.write(&mut text, "     to do: ", remedy);
            }
        }
        if self.verdicts.is_empty() {
            text.push_str("     nothing is wrong, as far as this user can see\n");
        }
        if !self.not_seen.is_empty() {
            text.push_str("\nNOT SEEN\n");
            self.not_seen
                .iter()
                .for_each(|line| self.write(&mut text, INDENT, line));
        }
        for Section { name, lines } in &self.sections {
            let _ = write!(text, "\n{}\n", name.to_uppercase());
            let blotted = Blotted::each(lines.iter().map(String::as_str), &self.known);
            for line in blotted {
                let _ = writeln!(text, "{INDENT}{}", line.trim_end());
            }
        }
        text.push_str(
            "\nThis report holds no secret; it names sessions, hosts, users and files.\n",
        );
        text
    }

    fn write(&self, text: &mut String, head: &str, line: &str) {
        let _ = writeln!(text, "{head}{}", Blotted::new(line, &self.known));
    }

    pub(super) fn json(&self) -> String {
        let sections: serde_json::Map<String, Value> = self
            .sections
            .iter()
            .map(|section| (section.name.to_owned(), json!(section.lines)))
            .collect();
        let mut value = json!({
            "version": env!("CARGO_PKG_VERSION"),
            "at": clock::now().wall.to_string(),
            "verdicts": self.verdicts,
            "not_seen": self.not_seen,
            "config_errors": self.config_errors,
            "hosts": self.hosts,
            "sessions": self.sessions,
            "sections": sections,
        });
        blot(&mut value, &self.known);
        format!("{value:#}\n")
    }
}

/// Every text in it, however deep; the names of members are our own.
fn blot(value: &mut Value, known: &[Secret]) {
    match value {
        Value::String(text) => *text = Blotted::new(text, known).into(),
        Value::Array(elements) => elements.iter_mut().for_each(|element| blot(element, known)),
        Value::Object(members) => members.values_mut().for_each(|member| blot(member, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
