//! One provider in words, with a config to start from.

use crate::provider::{Description, GrantDescription, Parameter, ParameterKind};

/// Everything that the profile tells, and a snippet that `keepfresh check` accepts once its values are filled in.
pub(super) fn in_words(description: &Description) -> String {
    let mut text = format!(
        "{} ({}, protocol {})\n",
        description.title, description.name, description.protocol
    );
    if !description.documentation.is_empty() {
        text += &description.documentation;
        text += "\n";
    }
    text += &section("Window", &description.window);
    text += &section("Ping", &description.pings);
    text += &section("Renewal", description.renewal.as_slice());
    text += &section("Logout", description.logout.as_slice());
    text += &section("Dead when the ping is answered with", &description.dead);
    for grant in &description.grants {
        text += &parameters(grant);
        let steps = grant
            .setup
            .iter()
            .enumerate()
            .map(|(index, step)| format!("{}. {step}", index + 1));
        text += &section(
            &format!(
                "At the server, before the first login by grant = \"{}\"",
                grant.name
            ),
            &steps.collect::<Vec<_>>(),
        );
    }
    text += &section("Notes", &description.notes);
    text += &section(
        "Unverified: try it on your own server before you rely on it",
        &description.unverified,
    );
    let proved = if description.proved.is_empty() {
        "the examples in its file"
    } else {
        &description.proved
    };
    text += &section("Proved against", &[proved.to_owned()]);
    text += &section("Sources", &description.sources);
    text + "\nTo start from, in config.toml:\n\n" + &snippet(description)
}

fn section(title: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("\n{title}\n  {}\n", lines.join("\n  "))
}

fn parameters(grant: &GrantDescription) -> String {
    let about = if grant.about.is_empty() {
        String::new()
    } else {
        format!(": {}", grant.about)
    };
    let width = grant
        .parameters
        .iter()
        .map(|parameter| parameter.name.len())
        .max()
        .unwrap_or(0);
    let line =
        |parameter: &Parameter| format!("{:width$}  {}", parameter.name, explained(parameter));
    section(
        &format!("Login by grant = \"{}\"{about}", grant.name),
        &grant.parameters.iter().map(line).collect::<Vec<_>>(),
    )
}

fn explained(parameter: &Parameter) -> String {
    let mut facts = Vec::new();
    match (&parameter.default, parameter.required) {
        (Some(default), _) => facts.push(format!("default {default}")),
        (None, true) => facts.push("required".to_owned()),
        (None, false) => {}
    }
    if parameter.secret {
        facts.push("secret".to_owned());
    }
    match parameter.kind {
        ParameterKind::Text => {}
        ParameterKind::Integer => facts.push("a whole number".to_owned()),
        ParameterKind::Boolean => facts.push("true or false".to_owned()),
        ParameterKind::List => facts.push("a list".to_owned()),
        ParameterKind::Fields => facts.push("a table of texts".to_owned()),
    }
    if !parameter.one_of.is_empty() {
        facts.push(format!("one of {}", parameter.one_of.join(", ")));
    }
    if facts.is_empty() {
        parameter.about.clone()
    } else {
        format!("{} ({})", parameter.about, facts.join("; "))
    }
}

/// The first way to log in, with all that must be given.
fn snippet(description: &Description) -> String {
    let name = description.name.replace('-', "_");
    let mut lines = vec![
        format!("[sessions.{name}]"),
        format!("provider = \"{}\"", description.name),
    ];
    if description.needs_url {
        lines.push("url = \"https://server.example\"".to_owned());
    }
    if let Some(grant) = description.grants.first() {
        lines.extend([
            String::new(),
            format!("[sessions.{name}.login]"),
            format!("grant = \"{}\"", grant.name),
        ]);
        let shown = grant
            .parameters
            .iter()
            .filter(|parameter| parameter.required || parameter.name == "issuer");
        lines.extend(
            shown.map(|parameter| format!("{} = {}", parameter.name, sample(&name, parameter))),
        );
    }
    lines.join("\n") + "\n"
}

fn sample(session: &str, parameter: &Parameter) -> String {
    let key = parameter.name.replace('_', "-");
    match (parameter.secret, parameter.kind) {
        (true, _) => format!("{{ file = \"/etc/keepfresh/secrets/{session}-{key}\" }}"),
        (false, ParameterKind::Integer) => "1".to_owned(),
        (false, ParameterKind::Boolean) => "true".to_owned(),
        (false, ParameterKind::List) => "[\"program\", \"argument\"]".to_owned(),
        (false, ParameterKind::Fields) => "{ name = \"value\" }".to_owned(),
        (false, ParameterKind::Text) if parameter.name == "issuer" => {
            "\"https://id.example\"".to_owned()
        }
        (false, ParameterKind::Text) => {
            match parameter.default.as_ref().or(parameter.one_of.first()) {
                Some(value) => format!("\"{value}\""),
                None => "\"…\"".to_owned(),
            }
        }
    }
}
