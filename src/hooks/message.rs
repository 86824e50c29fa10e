//! What programs and receivers are told of one happening, in the words that each of them understands. How it gets there is
//! the matter of `child` and `webhook`.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::{Happening, Occasion};
use crate::secret::Secret;

/// What a receiver understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An incoming webhook of Slack, or of Mattermost and others that take the same.
    Slack,
    /// A workflow of Teams that begins with a webhook request: an Adaptive Card.
    Teams,
    /// `PagerDuty`'s Events API, version 2.
    PagerDuty,
    /// Every field by itself: docs/publishing.md.
    Json,
}

/// `PagerDuty` takes no longer summary (Events API v2).
const LONGEST_SUMMARY: usize = 1024;

/// Nor a longer key of an incident.
const LONGEST_KEY: usize = 255;

impl Format {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Slack, Self::Teams, Self::PagerDuty, Self::Json];

    /// Its word in the config.
    pub fn word(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Teams => "teams",
            Self::PagerDuty => "pagerduty",
            Self::Json => "json",
        }
    }
}

/// What a program finds in its environment; `socket` is where it reaches the daemon, if that is known.
pub(super) fn variables(it: &Happening, socket: Option<&Path>) -> Vec<(&'static str, String)> {
    let or_empty = |text: &Option<Arc<str>>| text.as_deref().unwrap_or_default().to_owned();
    let mut variables = vec![
        ("KEEPFRESH_SESSION", it.session.clone()),
        ("KEEPFRESH_EVENT", it.occasion.word().to_owned()),
        ("KEEPFRESH_REASON", one_line(&it.reason)),
        ("KEEPFRESH_REMEDY", one_line(&it.remedy)),
        ("KEEPFRESH_OWNER", or_empty(&it.owner)),
        ("KEEPFRESH_RUNBOOK", or_empty(&it.runbook)),
    ];
    if it.is_test {
        variables.push(("KEEPFRESH_TEST", "1".to_owned()));
    }
    if let Some(generation) = it.generation {
        variables.push(("KEEPFRESH_GENERATION", generation.to_string()));
    }
    if let Some(socket) = socket {
        variables.push(("KEEPFRESH_SOCKET", socket.display().to_string()));
    }
    variables
}

/// What a server said may hold anything; a variable ends at a NUL.
fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

/// What a webhook is sent; `host` is this machine's name.
pub(super) fn text(
    format: Format,
    happening: &Happening,
    host: &str,
    key: Option<&Secret>,
) -> Zeroizing<String> {
    let value = match format {
        Format::Slack => slack(happening, host),
        Format::Teams => teams(happening, host),
        Format::PagerDuty => pagerduty(happening, host, key),
        Format::Json => plain(happening, host),
    };
    Zeroizing::new(value.to_string())
}

fn plain(it: &Happening, host: &str) -> Value {
    json!({
        "event": it.occasion.word(),
        "test": it.is_test,
        "session": it.session,
        "host": host,
        "at": it.at.to_string(),
        "reason": it.reason,
        "remedy": it.remedy,
        "owner": it.owner,
        "runbook": it.runbook,
        "generation": it.generation,
    })
}

/// The first line, for people.
fn headline(it: &Happening, host: &str) -> String {
    if it.is_test {
        return format!("test alert of keepfresh on {host}");
    }
    match it.occasion {
        Occasion::Attention => format!("{} on {host} needs a person", it.session),
        Occasion::Recovered => format!("{} on {host} is well again", it.session),
        Occasion::Change => format!("{} on {host} has a new token", it.session),
    }
}

/// What else there is to say, each with its name.
fn particulars(it: &Happening) -> Vec<(&'static str, &str)> {
    let all = [
        ("Why", it.reason.as_str()),
        ("To do", it.remedy.as_str()),
        ("Owner", it.owner.as_deref().unwrap_or_default()),
        ("Runbook", it.runbook.as_deref().unwrap_or_default()),
    ];
    all.into_iter()
        .filter(|(_, text)| !text.is_empty())
        .collect()
}

/// A server's words must not become links or calls of everybody.
fn slack(it: &Happening, host: &str) -> Value {
    let escaped = |text: &str| {
        text.replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
    };
    let lines = particulars(it)
        .into_iter()
        .map(|(name, text)| format!("\n{name}: {}", escaped(text)));
    let text: String = std::iter::once(format!("*{}*", escaped(&headline(it, host))))
        .chain(lines)
        .collect();
    json!({ "text": text })
}

/// Runs of text, since other blocks read Markdown, in which a server's words could become a link.
fn teams(it: &Happening, host: &str) -> Value {
    let run = |text: String, bold: bool| {
        let weight = if bold { "Bolder" } else { "Default" };
        json!({ "type": "RichTextBlock", "inlines": [{ "type": "TextRun", "text": text, "weight": weight }] })
    };
    let lines = particulars(it)
        .into_iter()
        .map(|(name, text)| run(format!("{name}: {text}"), false));
    let body: Vec<Value> = std::iter::once(run(headline(it, host), true))
        .chain(lines)
        .collect();
    let actions: Vec<Value> = it
        .runbook
        .iter()
        .map(|runbook| json!({ "type": "Action.OpenUrl", "title": "Runbook", "url": &**runbook }))
        .collect();
    let card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": actions,
    });
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": card,
        }],
    })
}

/// One incident a session, whatever the reason: a second alert of it is no second page.
fn pagerduty(it: &Happening, host: &str, key: Option<&Secret>) -> Value {
    let kind = if it.is_test {
        "keepfresh-test"
    } else {
        "keepfresh"
    };
    let incident: String = format!("{kind}/{host}/{}", it.session)
        .chars()
        .take(LONGEST_KEY)
        .collect();
    let action = if it.occasion == Occasion::Attention {
        "trigger"
    } else {
        "resolve"
    };
    let summary: String = format!("{}: {}", headline(it, host), it.reason)
        .chars()
        .take(LONGEST_SUMMARY)
        .collect();
    let links: Vec<Value> = it
        .runbook
        .iter()
        .map(|runbook| json!({ "href": &**runbook, "text": "Runbook" }))
        .collect();
    json!({
        "routing_key": key.map(Secret::expose),
        "event_action": action,
        "dedup_key": incident,
        "client": "keepfresh",
        "links": links,
        "payload": {
            "summary": summary,
            "source": host,
            "severity": "critical",
            "timestamp": it.at.to_string(),
            "component": it.session,
            "custom_details": plain(it, host),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_servers_words_become_neither_links_nor_calls_of_everybody() {
        let it = Happening {
            reason: "<!channel> <https://evil.example|log in> & [log in](https://evil.example)"
                .into(),
            ..happening()
        };
        let slack = slack(&it, "host")["text"].as_str().unwrap().to_owned();
        assert!(
            !slack.contains('<') && !slack.contains('>') && slack.contains("&lt;!channel&gt;"),
            "{slack}"
        );
        let teams = teams(&it, "host");
        let blocks = teams["attachments"][0]["content"]["body"]
            .as_array()
            .unwrap();
        assert!(
            blocks.len() == 5 && blocks.iter().all(|block| block["type"] == "RichTextBlock"),
            "{teams}"
        );
    }

    #[test]
    fn trigger_and_resolve_name_one_incident_a_session() {
        let key = Secret::new("R0UT1NGK3Y");
        let sent = |it: &Happening| pagerduty(it, "host", Some(&key));
        let (trigger, again) = (
            sent(&happening()),
            sent(&Happening {
                reason: "another".into(),
                ..happening()
            }),
        );
        let resolve = sent(&Happening {
            occasion: Occasion::Recovered,
            ..happening()
        });
        assert_eq!(
            (&trigger["event_action"], &resolve["event_action"]),
            (&json!("trigger"), &json!("resolve"))
        );
        assert_eq!(trigger["dedup_key"], "keepfresh/host/crm");
        assert!(
            trigger["dedup_key"] == again["dedup_key"]
                && trigger["dedup_key"] == resolve["dedup_key"]
        );
        assert_eq!(trigger["routing_key"], "R0UT1NGK3Y");
        assert_eq!(trigger["links"][0]["href"], "https://wiki.example/crm");
        let long = sent(&Happening {
            reason: "x".repeat(5000),
            session: "s".repeat(400),
            ..happening()
        });
        assert_eq!(
            long["payload"]["summary"].as_str().unwrap().len(),
            LONGEST_SUMMARY
        );
        assert_eq!(long["dedup_key"].as_str().unwrap().len(), LONGEST_KEY);
    }

    #[test]
    fn plain_json_has_every_field_even_where_it_is_empty() {
        let bare = Happening {
            owner: None,
            runbook: None,
            generation: None,
            ..happening()
        };
        let sent = plain(&bare, "host");
        for field in [
            "event",
            "test",
            "session",
            "host",
            "at",
            "reason",
            "remedy",
            "owner",
            "runbook",
            "generation",
        ] {
            assert!(sent.get(field).is_some(), "{field}: {sent}");
        }
        assert_eq!(sent["event"], "attention");
    }

    #[test]
    fn a_program_is_told_on_one_line_each_and_of_no_socket_that_is_not_there() {
        let it = Happening {
            reason: "the server said\n\0no".into(),
            generation: None,
            is_test: true,
            ..happening()
        };
        assert_eq!(
            variables(&it, None),
            [
                ("KEEPFRESH_SESSION", "crm"),
                ("KEEPFRESH_EVENT", "attention"),
                ("KEEPFRESH_REASON", "the server said  no"),
                ("KEEPFRESH_REMEDY", "`keepfresh login crm`"),
                ("KEEPFRESH_OWNER", "crm team"),
                ("KEEPFRESH_RUNBOOK", "https://wiki.example/crm"),
                ("KEEPFRESH_TEST", "1"),
            ]
            .map(|(name, value)| (name, value.to_owned()))
        );
        let told = variables(&happening(), Some(Path::new("/run/k.sock")));
        assert_eq!(
            told.last(),
            Some(&("KEEPFRESH_SOCKET", "/run/k.sock".to_owned()))
        );
        assert!(told.contains(&("KEEPFRESH_GENERATION", "7".to_owned())));
    }

    fn happening() -> Happening {
        Happening {
            session: "crm".into(),
            occasion: Occasion::Attention,
            is_test: false,
            generation: Some(7),
            reason: "the server refused the login".into(),
            remedy: "`keepfresh login crm`".into(),
            at: jiff::Timestamp::UNIX_EPOCH,
            owner: Some("crm team".into()),
            runbook: Some("https://wiki.example/crm".into()),
            files: None,
            secret: None,
        }
    }
}
