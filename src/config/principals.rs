//! Users and groups that the config names, resolved.

use toml::de::DeValue;

use super::report::At;
use super::table::Table;
use crate::name_service::resolve;
use crate::users::{Kind, Principal};

/// An array of `"user:alice"` and `"group:ops"`.
pub(super) fn read(table: &Table<'_>, key: &str) -> Option<Vec<Principal>> {
    let texts = table.texts(key)?;
    Some(
        texts
            .value
            .iter()
            .filter_map(|text| principal(table, key, text))
            .collect(),
    )
}

fn principal(table: &Table<'_>, key: &str, text: &At<&str>) -> Option<Principal> {
    let (kind, name) = match text.value.split_once(':') {
        Some(("user", name)) if !name.is_empty() => (Kind::User, name),
        Some(("group", name)) if !name.is_empty() => (Kind::Group, name),
        Some(_) | None => {
            let title = format!(
                "`{}`: \"{}\" is neither a user nor a group",
                table.name(key),
                text.value
            );
            table
                .report
                .problem(&text.place, title, "write \"user:NAME\" or \"group:NAME\"");
            return None;
        }
    };
    let number = known(
        table,
        key,
        kind,
        &At {
            value: name,
            place: text.place.clone(),
        },
    )?;
    Some(match kind {
        Kind::User => Principal::User(number),
        Kind::Group => Principal::Group(number),
    })
}

/// A user or group by name, or by number in a string or bare.
pub(super) fn number(table: &Table<'_>, key: &str, kind: Kind) -> Option<u32> {
    let found = table.value(key)?;
    if let DeValue::Integer(number) = found.value {
        return known(
            table,
            key,
            kind,
            &At {
                value: number.as_str(),
                place: found.place.clone(),
            },
        );
    }
    known(table, key, kind, &table.text(key)?)
}

fn known(table: &Table<'_>, key: &str, kind: Kind, name: &At<&str>) -> Option<u32> {
    let number = resolve(kind, name.value);
    if number.is_none() {
        let word = kind.word();
        let title = format!(
            "`{}`: there is no {word} `{}` on this machine",
            table.name(key),
            name.value
        );
        table.report.problem(
            &name.place,
            title,
            format!("create the {word}, or name one that exists"),
        );
    }
    number
}
