//! `docs/openapi.json` as the judge of every answer: what is not in it must not be said.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::unix::Answer;

const FILE: &str = "docs/openapi.json";

/// The description, its objects closed: users are told to skip fields that they do not know, the tests know all.
static DESCRIPTION: LazyLock<Value> = LazyLock::new(|| {
    let path = format!("{}/{FILE}", env!("CARGO_MANIFEST_DIR"));
    let mut description = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    close(&mut description);
    description
});

/// By the schema's place in the description.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// Fails unless this is an answer that the description allows for the call.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap();
    let Some(template) = template(path) else {
        return assert_problem(
            answer,
            404,
            "no-such-path",
            &format!("{path} is not in {FILE}: describe it there"),
        );
    };
    let method = method.to_lowercase();
    let Some(operation) = DESCRIPTION["paths"][&template].get(&method) else {
        let wrong = format!("{method} {template} is not in {FILE}: describe it there");
        return assert_problem(answer, 405, "wrong-method", &wrong);
    };
    let call = format!("{method} {template} with {}", answer.status);
    let status = answer.status.to_string();
    let response = &operation["responses"][&status];
    assert!(
        !response.is_null(),
        "{call} is not in {FILE}: describe it there\n{answer:?}"
    );
    let at = match response["$ref"].as_str() {
        Some(reference) => reference.to_owned(),
        None => format!(
            "#/paths/{}/{method}/responses/{status}",
            template.replace('/', "~1")
        ),
    };
    let Some(content) = DESCRIPTION.pointer(&at[1..]).unwrap()["content"].as_object() else {
        return assert!(
            answer.body.is_empty(),
            "{call} has no body in {FILE}\n{answer:?}"
        );
    };
    let kind = answer.header("content-type").split(';').next().unwrap();
    assert!(
        content.contains_key(kind),
        "{call} is no {kind:?} in {FILE}\n{answer:?}"
    );
    let instance = if kind.ends_with("json") {
        answer.json()
    } else {
        Value::String(answer.body.clone())
    };
    assert_valid(
        &format!("{at}/content/{}/schema", kind.replace('/', "~1")),
        &instance,
        &call,
    );
}

/// Fails unless `instance` is what `#/components/schemas/NAME` describes.
#[track_caller]
pub(crate) fn assert_is(name: &str, instance: &Value) {
    assert_valid(&format!("#/components/schemas/{name}"), instance, name);
}

/// What the description says of each call: method, path and status.
pub(crate) fn all() -> Vec<(String, String, u16)> {
    let mut all = Vec::new();
    for (path, item) in DESCRIPTION["paths"].as_object().unwrap() {
        for (method, operation) in item
            .as_object()
            .unwrap()
            .iter()
            .filter(|(key, _)| *key != "parameters")
        {
            let statuses = operation["responses"].as_object().unwrap().keys();
            all.extend(
                statuses.map(|status| (method.clone(), path.clone(), status.parse().unwrap())),
            );
        }
    }
    all
}

/// The described path that this one is an instance of.
pub(crate) fn template(path: &str) -> Option<String> {
    let is_instance = |template: &&String| {
        let (template, path): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        let fits =
            |(described, part): (&&str, &&str)| described == part || described.starts_with('{');
        template.len() == path.len() && template.iter().zip(&path).all(fits)
    };
    DESCRIPTION["paths"]
        .as_object()
        .unwrap()
        .keys()
        .find(is_instance)
        .cloned()
}

#[track_caller]
fn assert_problem(answer: &Answer, status: u16, kind: &str, otherwise: &str) {
    let is_it = answer.status == status && answer.json()["type"] == kind;
    assert!(is_it, "{otherwise}\n{answer:?}");
    assert_is("Problem", &answer.json());
}

#[track_caller]
fn assert_valid(at: &str, instance: &Value, call: &str) {
    let validator = Arc::clone(
        VALIDATORS
            .lock()
            .unwrap()
            .entry(at.to_owned())
            .or_insert_with(|| validator(at)),
    );
    let wrong: Vec<String> = validator
        .iter_errors(instance)
        .map(|error| format!("{}: {error}", error.instance_path))
        .collect();
    assert!(
        wrong.is_empty(),
        "{call} is not as in {FILE}:\n{}\n{instance:#}",
        wrong.join("\n")
    );
}

fn validator(at: &str) -> Arc<Validator> {
    let mut root = DESCRIPTION.pointer(&at[1..]).unwrap().clone();
    // What its references lead to.
    root["components"] = DESCRIPTION["components"].clone();
    Arc::new(
        jsonschema::draft202012::options()
            .should_validate_formats(true)
            .build(&root)
            .unwrap(),
    )
}

/// Nothing more than is described may be in an object, unless its schema says so.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if is_open(members) {
                members.insert("additionalProperties".to_owned(), false.into());
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn is_open(schema: &Map<String, Value>) -> bool {
    schema.get("type") == Some(&json!("object"))
        && schema.contains_key("properties")
        && !schema.contains_key("additionalProperties")
}
