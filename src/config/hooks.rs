//! `[[sessions.NAME.hook]]` and `[alerts]`: programs and webhooks that are told what happens.

use std::sync::Arc;

use toml::de::DeValue;

use super::global::Needs;
use super::http::GlobalHttp;
use super::report::At;
use super::table::Table;
use super::value::{Bad, bad};
use super::{Needed, keys, secret};
use crate::hooks::{Address, AlertsConfig, Format, HookConfig, Occasion, WebhookConfig};
use crate::provider::{HttpSettings, check_address};
use crate::secret_source::SecretSource;

/// Where `PagerDuty` takes events, outside of its European region.
const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

const ARGV_HELP: &str =
    "write the program and its arguments (there is no shell): [\"/usr/local/bin/notify\", \"crm\"]";

/// Reads a session's hooks.
pub(super) fn read(session: &Table<'_>, needs: &Needs<'_>) -> Vec<HookConfig> {
    let tables = session.tables("hook").unwrap_or_default();
    tables
        .iter()
        .filter_map(|table| hook(table, needs))
        .collect()
}

fn hook(table: &Table<'_>, needs: &Needs<'_>) -> Option<HookConfig> {
    table.only(keys::HOOK);
    for key in keys::HOOK.iter().filter(|key| !table.has(key.name)) {
        table.missing(key.name, "a hook says when it runs and what: on = [\"change\"], command = [\"/path/to/program\"]");
    }
    let on = on(table);
    let command = table.texts("command")?;
    let command = argv(table, "command", &command, needs)?;
    Some(HookConfig { on: on?, command })
}

fn on(table: &Table<'_>) -> Option<Vec<Occasion>> {
    let words = table.texts("on")?;
    let mut on = Vec::new();
    for word in &words.value {
        if let Some(occasion) = Occasion::ALL
            .into_iter()
            .find(|occasion| occasion.word() == word.value)
        {
            on.push(occasion);
        } else {
            let title = format!("`{}`: \"{}\" is no event", table.name("on"), word.value);
            table.report.problem(
                &word.place,
                title,
                "write \"change\", \"attention\" or \"recovered\"",
            );
        }
    }
    if words.value.is_empty() {
        let title = format!("`{}` is empty: the hook would never run", table.name("on"));
        table.report.problem(
            &words.place,
            title,
            "write \"change\", \"attention\" or \"recovered\"",
        );
    }
    Some(on)
}

/// Reads `[alerts]` of the main file.
pub(super) fn alerts(
    main: Option<&Table<'_>>,
    http: &GlobalHttp,
    needs: &Needs<'_>,
) -> AlertsConfig {
    let Some(table) = main.and_then(|main| main.table("alerts")) else {
        return AlertsConfig::default();
    };
    table.only(keys::ALERTS);
    if !table.has("on_attention") && !table.has("webhook") {
        let help =
            "say whom to tell: on_attention = [[\"/usr/local/bin/page\"]], or [[alerts.webhook]]";
        table.missing("on_attention", help);
    }
    let after = table.duration("after").map(|after| after.value);
    let webhooks = table.tables("webhook").unwrap_or_default();
    let webhooks = webhooks
        .iter()
        .filter_map(|table| webhook(table, http, needs))
        .collect();
    AlertsConfig {
        on_attention: commands(&table, needs),
        webhooks,
        after,
    }
}

fn webhook(table: &Table<'_>, http: &GlobalHttp, needs: &Needs<'_>) -> Option<WebhookConfig> {
    table.only(keys::WEBHOOK);
    if !table.has("format") {
        table.missing(
            "format",
            "write what the receiver understands: \"slack\", \"teams\", \"pagerduty\" or \"json\"",
        );
    }
    let format = table.parsed("format", format)?.value;
    let allow_plain_http = table
        .flag("allow_plain_http")
        .is_some_and(|flag| flag.value);
    let routing_key = routing_key(table, format, needs);
    let url = address(table, format, needs);
    let http = Arc::new(HttpSettings {
        allow_plain_http,
        ..http.settings()
    });
    if format == Format::PagerDuty && routing_key.is_none() {
        return None;
    }
    Some(WebhookConfig {
        url: url?,
        format,
        routing_key,
        http,
    })
}

/// The words of a webhook's `format`.
pub(super) fn format_words() -> Vec<&'static str> {
    Format::ALL.into_iter().map(Format::word).collect()
}

fn format(text: &str) -> Result<Format, Bad> {
    let known = Format::ALL.into_iter().find(|format| format.word() == text);
    known.ok_or_else(|| {
        bad(
            "is no format",
            "write \"slack\", \"teams\", \"pagerduty\" or \"json\"",
        )
    })
}

fn routing_key(table: &Table<'_>, format: Format, needs: &Needs<'_>) -> Option<SecretSource> {
    match (format == Format::PagerDuty, table.has("routing_key")) {
        (true, false) => table.missing(
            "routing_key",
            "name where the integration key of the service is: routing_key = { file = \"/path\" }",
        ),
        (false, true) => {
            let title = format!(
                "`{}` goes with format = \"pagerduty\" only",
                table.name("routing_key")
            );
            table
                .report
                .problem(&table.place_of("routing_key"), title, "take it out");
        }
        (true, true) | (false, false) => {}
    }
    secret_of(table, "routing_key", needs)
}

/// `PagerDuty` has one address for all, and a key that is secret; everywhere else the address is the secret.
fn address(table: &Table<'_>, format: Format, needs: &Needs<'_>) -> Option<Address> {
    let is_public = format == Format::PagerDuty;
    if is_public
        && table
            .value("url")
            .is_none_or(|found| found.value.as_str().is_some())
    {
        let usable = |text: &str| {
            let remedy = "write \"https://events.eu.pagerduty.com/v2/enqueue\", or take it out";
            check_address(text, true)
                .map(|_| Arc::from(text))
                .map_err(|_| bad("is no URL", remedy))
        };
        let given = table.parsed("url", usable);
        return Some(Address::Public(
            given.map_or_else(|| PAGERDUTY.into(), |given| given.value),
        ));
    }
    if !table.has("url") {
        table.missing(
            "url",
            "name where the receiver's URL is, which is a secret: url = { file = \"/path\" }",
        );
    }
    secret_of(table, "url", needs).map(Address::Secret)
}

fn secret_of(table: &Table<'_>, key: &str, needs: &Needs<'_>) -> Option<SecretSource> {
    let source = secret::read(table, key)?;
    needs.add(
        table.name(key),
        &source.place,
        Needed::Secret(source.value.clone()),
    );
    Some(source.value)
}

/// An array of argv.
fn commands(table: &Table<'_>, needs: &Needs<'_>) -> Vec<Vec<String>> {
    let Some(found) = table.value("on_attention") else {
        return Vec::new();
    };
    let all = found.value.as_array();
    let lists: Option<Vec<_>> =
        all.and_then(|all| all.iter().map(|item| item.get_ref().as_array()).collect());
    let Some(lists) = lists else {
        table.wrong_type(
            "on_attention",
            &found,
            "an array of commands, each an array: [[\"/usr/local/bin/page\"]]",
        );
        return Vec::new();
    };
    let mut commands = Vec::new();
    for list in lists {
        let words: Option<Vec<_>> = list.iter().map(|word| text(word.get_ref())).collect();
        let Some(words) = words else {
            table.wrong_type("on_attention", &found, "arrays of non-empty strings");
            continue;
        };
        let words = words
            .into_iter()
            .map(|value| At {
                value,
                place: found.place.clone(),
            })
            .collect();
        commands.extend(argv(
            table,
            "on_attention",
            &At {
                value: words,
                place: found.place.clone(),
            },
            needs,
        ));
    }
    commands
}

fn text<'d>(value: &'d DeValue<'_>) -> Option<&'d str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

/// A program by its absolute path, or by a name that PATH knows; `check` looks for it.
fn argv(
    table: &Table<'_>,
    key: &str,
    words: &At<Vec<At<&str>>>,
    needs: &Needs<'_>,
) -> Option<Vec<String>> {
    let Some(program) = words.value.first() else {
        table.report.problem(
            &words.place,
            format!("`{}` is empty", table.name(key)),
            ARGV_HELP,
        );
        return None;
    };
    let relative = program.value.contains('/') && !program.value.starts_with('/');
    if relative || program.value.contains([' ', '\0']) && !program.value.starts_with('/') {
        let title = format!(
            "`{}`: a program must be named by its absolute path, or by a name that PATH knows",
            table.name(key)
        );
        table.report.problem(&program.place, title, ARGV_HELP);
    }
    let argv: Vec<String> = words
        .value
        .iter()
        .map(|word| word.value.to_owned())
        .collect();
    needs.add(
        table.name(key),
        &program.place,
        Needed::Program(argv.clone()),
    );
    Some(argv)
}
