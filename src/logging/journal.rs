//! journald's native protocol: one datagram per entry (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>).

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::line::{headline, priority, push_escaped};
use super::message_id;
use super::recorder::Record;

/// Where journald listens; for a service with `LogNamespace=`, systemd mounts that namespace's socket here.
const SOCKET: &str = "/run/systemd/journal/socket";

/// How long journald may take for one entry; its queue is full when it hangs, or for a moment when much is said.
const PATIENCE: Duration = Duration::from_secs(1);

/// A way to journald that outlives journald: it is addressed anew with each entry.
#[derive(Debug)]
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    /// It took nothing in time; until it does, nobody waits for it.
    stuck: bool,
}

impl Journal {
    /// Finds out whether journald listens.
    pub(super) fn reach() -> io::Result<Self> {
        Self::at(Path::new(SOCKET))
    }

    pub(super) fn at(path: &Path) -> io::Result<Self> {
        UnixDatagram::unbound()?.connect(path)?;
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self {
            socket,
            path: path.to_owned(),
            stuck: false,
        })
    }

    /// Hands one entry over.
    ///
    /// # Errors
    /// When nobody listens, when journald takes nothing for a second, or when the entry is too long for a datagram.
    pub(super) fn write(&mut self, record: &Record) -> io::Result<()> {
        let sent = self.socket.send_to(&entry(record), &self.path).map(drop);
        let stuck = sent
            .as_ref()
            .is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        if stuck != self.stuck {
            self.stuck = stuck;
            self.socket.set_nonblocking(stuck)?;
        }
        sent
    }
}

/// `NAME=value` lines; values are escaped, so none holds the line feed that would need the binary form.
fn entry(record: &Record) -> Vec<u8> {
    let mut entry = format!(
        "PRIORITY={}\nSYSLOG_IDENTIFIER=keepfresh\n",
        priority(record.level)
    );
    entry.push_str("MESSAGE=");
    entry.push_str(&headline(record));
    entry.push('\n');
    if let Some(id) = record.text("event").and_then(message_id::of) {
        entry.push_str("MESSAGE_ID=");
        entry.push_str(id);
        entry.push('\n');
    }
    for (name, value) in &record.fields {
        push_name(&mut entry, name);
        entry.push('=');
        push_escaped(&mut entry, value.text());
        entry.push('\n');
    }
    entry.into_bytes()
}

/// Upper-case letters, digits and underscores, not first (systemd.journal-fields(7)).
fn push_name(entry: &mut String, name: &str) {
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphabetic());
    entry.extend(name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_uppercase()
        } else {
            '_'
        }
    }));
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::super::recorder::Value;
    use super::*;

    #[test]
    fn an_entry_has_the_fields_that_people_search_for() {
        assert_eq!(
            String::from_utf8(entry(&record("crm"))).unwrap(),
            format!(
                "PRIORITY=4\nSYSLOG_IDENTIFIER=keepfresh\nMESSAGE=crm: a person is needed generation=7 reason=\"no\"\n\
                 MESSAGE_ID={}\nSESSION=crm\nEVENT=needs_attention\nGENERATION=7\nREASON=no\n",
                message_id::of("needs_attention").unwrap()
            )
        );
    }

    #[test]
    fn no_value_begins_a_field_of_its_own() {
        let mut record = record("crm\nPRIORITY=0\n\u{1b}[2J");
        record.message = "hello\nMESSAGE_ID=0\0\u{2028}".to_owned();
        record.library = Some("x");
        let text = String::from_utf8(entry(&record)).unwrap();
        assert_eq!(text.lines().count(), 8, "{text}");
        assert!(
            !text.contains(|c: char| c != '\n' && (c.is_control() || c == '\u{2028}')),
            "{text:?}"
        );
    }

    #[test]
    fn a_journal_that_takes_nothing_is_waited_for_once_and_taken_up_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(&path).unwrap();
        while journal.write(&record("crm")).is_ok() {}
        assert!(journal.stuck);
        let before = crate::clock::boottime();
        for _ in 0..20 {
            assert!(journal.write(&record("crm")).is_err());
        }
        assert!(
            crate::clock::boottime().since(before) < PATIENCE,
            "nobody waits for it any more"
        );
        let mut taken = [0; 4096];
        while !journal.stuck || journal.write(&record("crm")).is_err() {
            journald.recv(&mut taken).unwrap();
        }
        assert!(!journal.stuck);
    }

    #[test]
    fn a_restarted_journald_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journald = UnixDatagram::bind(&path).unwrap();
        let mut journal = Journal::at(&path).unwrap();
        journal.write(&record("crm")).unwrap();
        drop(journald);
        assert!(journal.write(&record("crm")).is_err());
        std::fs::remove_file(&path).unwrap();
        assert!(journal.write(&record("crm")).is_err() && Journal::at(&path).is_err());
        let journald = UnixDatagram::bind(&path).unwrap();
        journal.write(&record("crm")).unwrap();
        let mut taken = [0; 4096];
        assert!(journald.recv(&mut taken).unwrap() > 0);
    }

    fn record(session: &str) -> Record {
        let text = |text: &str| Value::Text(text.to_owned());
        let fields = vec![
            ("session", text(session)),
            ("event", text("needs_attention")),
            ("generation", Value::Number("7".to_owned())),
            ("reason", text("no")),
        ];
        Record {
            level: Level::WARN,
            library: None,
            message: "a person is needed".to_owned(),
            fields,
        }
    }
}
