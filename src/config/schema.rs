//! The JSON Schema of the config, for editors: what `keys` and the profiles know, in the words of config.example.toml.
//!
//! It refuses only what the reader refuses too. What depends on this machine, or on two values at once, the reader alone
//! knows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::example;
use super::keys::{self, Keys, Shape};
use crate::hooks::Format;
use crate::provider::{Parameter, ParameterKind, Profile, ProfileError, SCHEMA_DIALECT};

/// Spans in the units of jiff's friendly format that have a fixed length, and not zero.
const DURATION: &str = r"^\s*\+?(?=[^1-9]*[1-9])((\d+([.,]\d+)?\s*(weeks?|wks?|w|days?|d|hours?|hrs?|h|minutes?|mins?|m|seconds?|secs?|s|milliseconds?|millis|milli|msecs?|ms|microseconds?|micros|micro|usecs?|us|µs|µsecs?|nanoseconds?|nanos?|nsecs?|ns)|\d+:\d\d(:\d\d([.,]\d+)?)?),?\s*)+$";

/// The schema of the main file and of fragments. With the directory of a machine's own profiles it knows every provider;
/// without, it lets any name pass and says nothing of such a login.
///
/// # Errors
/// When a profile cannot be read.
pub(crate) fn schema(providers_dir: Option<&Path>) -> Result<Value, ProfileError> {
    let profiles: Vec<Arc<Profile>> = Profile::names(providers_dir)
        .iter()
        .map(|name| Profile::named(name, providers_dir))
        .collect::<Result<_, _>>()?;
    let writer = Writer {
        about: example::descriptions(),
        profiles: &profiles,
        knows_all_providers: providers_dir.is_some(),
    };
    let mut schema = writer.table("", keys::ROOT);
    put(&mut schema, "$schema", SCHEMA_DIALECT.into());
    put(
        &mut schema,
        "title",
        "The configuration of keepfresh".into(),
    );
    put(&mut schema, "definitions", writer.definitions());
    Ok(schema)
}

struct Writer<'p> {
    about: BTreeMap<(String, &'static str), &'static str>,
    profiles: &'p [Arc<Profile>],
    knows_all_providers: bool,
}

impl Writer<'_> {
    /// A table with the keys that it takes, and what holds between them.
    fn table(&self, path: &str, keys: Keys) -> Value {
        let properties: Map<String, Value> = keys
            .iter()
            .map(|key| (key.name.to_owned(), self.key(path, key)))
            .collect();
        let mut table = closed(&properties);
        let required: Vec<&str> = keys
            .iter()
            .filter(|key| key.required)
            .map(|key| key.name)
            .collect();
        if !required.is_empty() {
            put(&mut table, "required", json!(required));
        }
        let conditions = match path {
            "sessions.NAME" => self.providers(),
            _ => conditions(path),
        };
        if !conditions.is_empty() {
            put(&mut table, "allOf", Value::Array(conditions));
        }
        table
    }

    fn key(&self, path: &str, key: &keys::Key) -> Value {
        let inner = if path.is_empty() {
            key.name.to_owned()
        } else {
            format!("{path}.{}", key.name)
        };
        let mut schema = self.shape(&inner, key.shape);
        let of_table = self.about.get(&(inner, "")).copied();
        let about = self.about.get(&(path.to_owned(), key.name)).copied();
        if let Some(about) = about.or(of_table) {
            put(&mut schema, "description", about.into());
        }
        schema
    }

    fn shape(&self, path: &str, shape: Shape) -> Value {
        match shape {
            Shape::Text => text(r"\S"),
            Shape::Line => text(r"^(?=.*\S)[^\x00-\x1f\x7f]{1,200}$"),
            Shape::Proxy => text(r"^(none|\s*[Hh][Tt][Tt][Pp][Ss]?:[^?#]+)$"),
            Shape::Listen => text(r"^(unix:[\s\S]*[^/]|.*:[0-9]+)$"),
            Shape::Loopback => text(r"^(127\.[0-9.]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$"),
            Shape::SocketName => text("^[A-Za-z0-9_-]{1,64}$"),
            Shape::HeaderName => text("^[A-Za-z0-9-]+$"),
            Shape::Methods => list(&text("^[A-Z]+$")),
            Shape::RequestPaths => list(&text("^/")),
            Shape::Pin => text(r"^\s*[A-Za-z0-9+/=:]{43,103}\s*$"),
            // Only a shell would know the home directory and the variables.
            Shape::Path => text(r"^(?![~$])[\s\S]*\S"),
            Shape::Url => text(r"^\s*[A-Za-z][A-Za-z0-9+.-]*:[^?#]+$"),
            Shape::WebAddress => text(r"^[Hh][Tt][Tt][Pp][Ss]?:\S+$"),
            Shape::Duration => text(DURATION),
            Shape::DurationOrNone => text(&format!("^none$|{DURATION}")),
            Shape::Mode => text("^(0o)?0?[0-7]{3}$"),
            Shape::PublishedMode => text("^(0o)?0?[0246][04][04]$"),
            Shape::Rate => text(r"^\s*\+?0*[1-9][0-9]{0,5}\s*/\s*(s|min|m|h)\s*$"),
            Shape::Flag => json!({"type": "boolean"}),
            Shape::VariableName => text("^[A-Za-z_][A-Za-z0-9_]*$"),
            // Printable ASCII without slash and colon, and no dot first.
            Shape::CredentialName => text(r"^[ -\-0-9;-~][ -.0-9;-~]*$"),
            Shape::Account => json!({"anyOf": [text(r"\S"), {"type": "integer", "minimum": 0}]}),
            Shape::OneOf(words) => json!({"enum": words()}),
            Shape::HostNames => list(&text("^[A-Za-z0-9._-]+$")),
            Shape::CronLines => list(&text(r"^\s*(\S+\s+){4}\S+\s*$")),
            Shape::Principals => list(&text(r"^(user|group):[\s\S]+$")),
            Shape::Several(words) => list(&json!({"enum": words()})),
            Shape::Argv => argv(),
            Shape::Commands => list(&argv()),
            Shape::Secret => secret(),
            Shape::SecretOrUrl => json!({"anyOf": [secret(), text(r"\S")]}),
            Shape::Provider => self.provider(),
            Shape::Table(keys) => self.table(path, keys),
            Shape::Tables(keys) => list(&self.table(path, keys)),
            Shape::Login => json!({"type": "object", "properties": self.login_keys()}),
            Shape::Sessions(keys) => json!({
                "type": "object",
                "patternProperties": {"^[a-z][a-z0-9_-]{0,63}$": self.table("sessions.NAME", keys)},
                "additionalProperties": false,
            }),
        }
    }

    fn provider(&self) -> Value {
        let names: Vec<&str> = self.profiles.iter().map(|profile| profile.name()).collect();
        let known = json!({"enum": names});
        if self.knows_all_providers {
            known
        } else {
            json!({"anyOf": [known, text(r"\S")]})
        }
    }

    /// What the login keys of all profiles are about, for editors that complete and explain them; which of them a session
    /// takes follows from its provider and grant.
    fn login_keys(&self) -> Value {
        let mut keys = Map::new();
        put_into(&mut keys, "grant", json!({"description": "how it logs in"}));
        for parameter in self.profiles.iter().flat_map(|profile| {
            profile
                .grants()
                .into_iter()
                .filter_map(|grant| profile.parameters(grant))
                .flatten()
                .collect::<Vec<_>>()
        }) {
            keys.entry(&parameter.name)
                .or_insert_with(|| json!({"description": parameter.about}));
        }
        Value::Object(keys)
    }

    /// What the provider of a session asks of the rest of it.
    fn providers(&self) -> Vec<Value> {
        self.profiles
            .iter()
            .map(|profile| {
                let login = reference(&definition_of(profile));
                let pings = profile.alternative_pings();
                let ping = if pings.is_empty() {
                    false.into()
                } else {
                    json!({"enum": pings})
                };
                let keepalive = json!({"properties": {"ping": ping}});
                let mut then = json!({"properties": {"login": login, "keepalive": keepalive}});
                if profile.needs_url() {
                    let issuer = json!({"properties": {"login": {"required": ["issuer"]}}});
                    put(&mut then, "anyOf", json!([{"required": ["url"]}, issuer]));
                }
                json!({
                    "if": {"properties": {"provider": {"const": profile.name()}}, "required": ["provider"]},
                    "then": then,
                })
            })
            .collect()
    }

    fn definitions(&self) -> Value {
        let mut definitions = Map::new();
        put_into(&mut definitions, "secret", self.secret());
        for profile in self.profiles {
            put_into(&mut definitions, &definition_of(profile), login(profile));
        }
        Value::Object(definitions)
    }

    /// A table that says where a secret is: by exactly one of its keys.
    fn secret(&self) -> Value {
        let mut table = self.table("secret", keys::SECRET);
        let sources: Vec<Value> = ["file", "credential", "env", "command"]
            .into_iter()
            .map(|source| json!({"required": [source]}))
            .collect();
        put(&mut table, "oneOf", Value::Array(sources));
        put(
            &mut table,
            "dependencies",
            json!({"insecure_mode": ["file"]}),
        );
        put(
            &mut table,
            "description",
            "where the secret is, which is never written here: { file = \"/path\" }, { credential = \"name\" }, \
             { env = \"NAME\" } or { command = [\"program\", \"argument\"] }"
                .into(),
        );
        table
    }
}

/// What holds between the keys of one table.
fn conditions(path: &str) -> Vec<Value> {
    match path {
        "alerts" => {
            vec![json!({"anyOf": [{"required": ["on_attention"]}, {"required": ["webhook"]}]})]
        }
        "alerts.webhook" => vec![json!({
            "if": {"properties": {"format": {"const": Format::PagerDuty.word()}}, "required": ["format"]},
            "then": {"required": ["routing_key"]},
            "else": {"required": ["url"], "properties": {"url": secret(), "routing_key": false}},
        })],
        "sessions.NAME.keepalive" => vec![exclusive("survive_outage", "ping_every")],
        "sessions.NAME.hook" => vec![json!({"properties": {"on": {"minItems": 1}}})],
        "sessions.NAME.publish" => vec![
            exclusive("format", "template"),
            json!({
                "if": {"required": ["login"]},
                "then": {"required": ["format"], "properties": {"format": {"const": "netrc"}}},
            }),
        ],
        "sessions.NAME.http" => vec![json!({
            "dependencies": {"client_cert": ["client_key"], "client_key": ["client_cert"]},
        })],
        _ => Vec::new(),
    }
}

fn exclusive(one: &str, other: &str) -> Value {
    json!({"not": {"required": [one, other]}})
}

fn definition_of(profile: &Profile) -> String {
    format!("login-{}", profile.name())
}

/// `[sessions.NAME.login]` at one kind of server.
fn login(profile: &Profile) -> Value {
    let grants = profile.grants();
    if let [only] = grants.as_slice() {
        return by_grant(profile, only);
    }
    let each: Vec<Value> = grants
        .iter()
        .map(|grant| {
            json!({
                "if": {"properties": {"grant": {"const": grant}}, "required": ["grant"]},
                "then": by_grant(profile, grant),
            })
        })
        .collect();
    json!({"required": ["grant"], "properties": {"grant": {"enum": grants}}, "allOf": each})
}

fn by_grant(profile: &Profile, grant: &str) -> Value {
    let parameters = profile.parameters(grant).unwrap_or_default();
    let required: Vec<&str> = parameters
        .iter()
        .filter(|parameter| parameter.required && parameter.default.is_none())
        .map(|parameter| parameter.name.as_str())
        .collect();
    let mut keys: Map<String, Value> = parameters
        .iter()
        .map(|parameter| (parameter.name.clone(), value_of(parameter)))
        .collect();
    put_into(&mut keys, "grant", json!({"const": grant}));
    let mut table = closed(&keys);
    put(&mut table, "required", json!(required));
    table
}

fn value_of(parameter: &Parameter) -> Value {
    let mut schema = match parameter.kind {
        _ if parameter.secret => secret(),
        ParameterKind::Text if parameter.one_of.is_empty() => text(r"\S"),
        ParameterKind::Text => json!({"enum": parameter.one_of}),
        ParameterKind::Integer => json!({"type": "integer"}),
        ParameterKind::Boolean => json!({"type": "boolean"}),
        ParameterKind::List => argv(),
        ParameterKind::Fields => json!({"type": "object", "additionalProperties": text(r"\S")}),
    };
    put(&mut schema, "description", parameter.about.as_str().into());
    if let Some(default) = &parameter.default {
        put(&mut schema, "default", default.as_str().into());
    }
    schema
}

fn closed(properties: &Map<String, Value>) -> Value {
    json!({"type": "object", "properties": properties, "additionalProperties": false})
}

fn text(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

fn list(items: &Value) -> Value {
    json!({"type": "array", "items": items})
}

/// A program and its arguments.
fn argv() -> Value {
    json!({"type": "array", "items": text(r"\S"), "minItems": 1})
}

/// Beside `$ref` itself this dialect sees nothing.
fn secret() -> Value {
    json!({"allOf": [reference("secret")]})
}

fn reference(definition: &str) -> Value {
    json!({"$ref": format!("#/definitions/{definition}")})
}

fn put(schema: &mut Value, key: &str, value: Value) {
    if let Some(schema) = schema.as_object_mut() {
        put_into(schema, key, value);
    }
}

fn put_into(schema: &mut Map<String, Value>, key: &str, value: Value) {
    schema.insert(key.to_owned(), value);
}
