//! `[[sessions.NAME.hook]]` and `[alerts]`: programs that are told what happens.

use toml::de::DeValue;

use super::global::Needs;
use super::report::At;
use super::table::Table;
use super::{Needed, keys};
use crate::hooks::{AlertsConfig, HookConfig, Occasion};

const ARGV_HELP: &str = "write the program and its arguments (there is no shell): [\"/usr/local/bin/notify\", \"crm\"]";

/// Reads a session's hooks.
pub(super) fn read(session: &Table<'_>, needs: &Needs<'_>) -> Vec<HookConfig> {
    let tables = session.tables("hook").unwrap_or_default();
    tables.iter().filter_map(|table| hook(table, needs)).collect()
}

fn hook(table: &Table<'_>, needs: &Needs<'_>) -> Option<HookConfig> {
    table.only(keys::HOOK);
    for key in keys::HOOK.iter().filter(|key| !table.has(key)) {
        table.missing(key, "a hook says when it runs and what: on = [\"change\"], command = [\"/path/to/program\"]");
    }
    let on = on(table);
    let command = table.texts("command")?;
    let command = argv(table, "command", &command, needs)?;
    Some(HookConfig { on: on?, command })
}

fn on(table: &Table<'_>) -> Option<Vec<Occasion>> {
    let words = table.texts("on")?;
    let known = [Occasion::Change, Occasion::Attention, Occasion::Recovered];
    let mut on = Vec::new();
    for word in &words.value {
        if let Some(occasion) = known.iter().find(|occasion| occasion.word() == word.value) {
            on.push(*occasion);
        } else {
            let title = format!("`{}`: \"{}\" is no event", table.name("on"), word.value);
            table.report.problem(&word.place, title, "write \"change\", \"attention\" or \"recovered\"");
        }
    }
    if words.value.is_empty() {
        let title = format!("`{}` is empty: the hook would never run", table.name("on"));
        table.report.problem(&words.place, title, "write \"change\", \"attention\" or \"recovered\"");
    }
    Some(on)
}

/// Reads `[alerts]` of the main file.
pub(super) fn alerts(main: Option<&Table<'_>>, needs: &Needs<'_>) -> AlertsConfig {
    let Some(table) = main.and_then(|main| main.table("alerts")) else { return AlertsConfig::default() };
    table.only(keys::ALERTS);
    if !table.has("on_attention") {
        table.missing("on_attention", "say what to run: on_attention = [[\"/usr/local/bin/page\"]]");
    }
    let after = table.duration("after").map(|after| after.value);
    AlertsConfig { on_attention: commands(&table, needs), after }
}

/// An array of argv.
fn commands(table: &Table<'_>, needs: &Needs<'_>) -> Vec<Vec<String>> {
    let Some(found) = table.value("on_attention") else { return Vec::new() };
    let all = found.value.as_array();
    let lists: Option<Vec<_>> = all.and_then(|all| all.iter().map(|item| item.get_ref().as_array()).collect());
    let Some(lists) = lists else {
        table.wrong_type("on_attention", &found, "an array of commands, each an array: [[\"/usr/local/bin/page\"]]");
        return Vec::new();
    };
    let mut commands = Vec::new();
    for list in lists {
        let words: Option<Vec<_>> = list.iter().map(|word| text(word.get_ref())).collect();
        let Some(words) = words else {
            table.wrong_type("on_attention", &found, "arrays of strings that are not empty");
            continue;
        };
        let words = words.into_iter().map(|value| At { value, place: found.place.clone() }).collect();
        commands.extend(argv(table, "on_attention", &At { value: words, place: found.place.clone() }, needs));
    }
    commands
}

fn text<'d>(value: &'d DeValue<'_>) -> Option<&'d str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

/// A program by its absolute path, or by a name that PATH knows; `check` looks for it.
fn argv(table: &Table<'_>, key: &str, words: &At<Vec<At<&str>>>, needs: &Needs<'_>) -> Option<Vec<String>> {
    let Some(program) = words.value.first() else {
        table.report.problem(&words.place, format!("`{}` is empty", table.name(key)), ARGV_HELP);
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
    needs.add(table.name(key), &program.place, Needed::Program(program.value.to_owned()));
    Some(words.value.iter().map(|word| word.value.to_owned()).collect())
}
