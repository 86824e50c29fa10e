//! Secret sources: a table that says where the secret is; the secret itself is refused.

use super::keys;
use super::paths;
use super::report::{At, Place};
use super::table::Table;
use super::value::is_variable_name;
use crate::secret_source::SecretSource;

const FORMS: &str = "{ file = \"/path\" }, { credential = \"name\" }, { env = \"NAME\" } or { command = [\"program\", …] }";

/// Reads the secret source under `key`, if the key is there.
pub(super) fn read(table: &Table<'_>, key: &str) -> Option<At<SecretSource>> {
    let found = table.value(key)?;
    if found.value.as_table().is_none() {
        refuse_clear(table, key, &found.place);
        return None;
    }
    let source = table.table(key)?;
    // Words such as `mode` and `path` have a home elsewhere, but are not meant for it here.
    let known: Vec<&str> = keys::SECRET.iter().map(|key| key.name).collect();
    source.only_here(&known, |_| None);
    let kinds: Vec<&str> = ["file", "credential", "env", "command"]
        .into_iter()
        .filter(|kind| source.has(kind))
        .collect();
    if source.has("insecure_mode") && !source.has("file") {
        let title = format!(
            "`{}` makes sense only beside `file`",
            source.name("insecure_mode")
        );
        source
            .report
            .problem(&source.place_of("insecure_mode"), title, "take it out");
    }
    match kinds.as_slice() {
        ["file"] => file(&source),
        ["credential"] => credential(&source),
        ["env"] => variable(&source),
        ["command"] => command(&source),
        [] => {
            let title = format!("`{}` does not say where the secret is", table.name(key));
            table
                .report
                .problem(&found.place, title, format!("write one of {FORMS}"));
            return None;
        }
        several => {
            let title = format!(
                "`{}` names several sources: {}",
                table.name(key),
                several.join(", ")
            );
            table
                .report
                .problem(&found.place, title, "keep one of them");
            return None;
        }
    }
    .map(|source| At {
        value: source,
        place: found.place,
    })
}

fn refuse_clear(table: &Table<'_>, key: &str, place: &Place) {
    let title = format!(
        "`{}` must not be written in the config itself",
        table.name(key)
    );
    let help = format!(
        "move the secret into a file that only keepfresh can read and write {key} = {{ file = \"/path\" }}, or use another \
         of {FORMS}; if this was the real secret, replace it at the server too"
    );
    table.report.unshown(place, title, help);
}

fn file(source: &Table<'_>) -> Option<SecretSource> {
    let path = paths::read(source, "file")?.value;
    let insecure_mode = source.flag("insecure_mode").is_some_and(|flag| flag.value);
    if insecure_mode {
        let warning = "insecure_mode is set: every user who can reach the file can read the secret";
        source.report.warn(format!("{}: {warning}", source.path));
    }
    Some(SecretSource::File {
        path,
        insecure_mode,
    })
}

fn credential(source: &Table<'_>) -> Option<SecretSource> {
    let name = source.text("credential")?;
    if !is_credential_name(name.value) {
        let title = format!("`{}` is no name of a credential", source.name("credential"));
        source.report.problem(
            &name.place,
            title,
            "write the name that LoadCredential= gives it, without a path",
        );
        return None;
    }
    Some(SecretSource::Credential(name.value.to_owned()))
}

/// What systemd accepts (systemd.exec(5), `LoadCredential=`): a file name of printable ASCII, without the colon that ends it there.
fn is_credential_name(name: &str) -> bool {
    let fits = |char: char| matches!(char, ' '..='~') && !matches!(char, '/' | ':');
    !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && name.chars().all(fits)
}

fn variable(source: &Table<'_>) -> Option<SecretSource> {
    let name = source.text("env")?;
    if !is_variable_name(name.value) {
        let title = format!(
            "`{}` is no name of an environment variable",
            source.name("env")
        );
        source.report.unshown(
            &name.place,
            title,
            "write the variable's name, such as \"CRM_PASSWORD\", not its value",
        );
        return None;
    }
    Some(SecretSource::Env(name.value.to_owned()))
}

fn command(source: &Table<'_>) -> Option<SecretSource> {
    let argv = source.texts("command")?;
    if argv.value.is_empty() {
        let title = format!("`{}` is empty", source.name("command"));
        source.report.problem(
            &argv.place,
            title,
            "write the program and its arguments: [\"pass\", \"show\", \"crm\"]",
        );
        return None;
    }
    Some(SecretSource::Command(
        argv.value
            .into_iter()
            .map(|word| word.value.to_owned())
            .collect(),
    ))
}
