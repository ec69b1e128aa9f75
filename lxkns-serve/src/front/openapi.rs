//! The description of the API: made from the routes, and from the schemas of the answers.

use std::collections::BTreeMap;

use lxkns_answers::schemas;
use serde_json::{Map, Value, json};

use super::routes::{Does, Parameter, ROUTES, Route, Segment, Values};
use crate::lists::fields_of;
use crate::protocol::Kind;

/// The description, OpenAPI 3.1.
pub(super) fn text(base_path: &str) -> String {
    let mut definitions = Map::new();
    for (question, schema) in schemas() {
        definitions.insert(question.to_owned(), with_own_definitions(question, schema));
    }
    definitions.insert("problem".to_owned(), problem());
    let paths: BTreeMap<&str, Value> = ROUTES.iter().map(|route| (route.path, path(route))).collect();
    let server = if base_path.is_empty() { "/" } else { base_path };
    let description = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "lxknsd",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "The Linux kernel namespaces of a host, and what keeps each alive",
            "license": { "name": "Apache License 2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": server }],
        "paths": paths,
        // Which of them is needed is the configuration's affair; none is over a UNIX socket.
        "security": [{}, { "password": [] }, { "token": [] }],
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    });
    format!("{description}\n")
}

/// A schema whose references lead to its own definitions, wherever it stands.
fn with_own_definitions(name: &str, mut schema: Value) -> Value {
    fn mend(value: &mut Value, before: &str) {
        match value {
            Value::String(text) if text.starts_with("#/$defs/") => {
                *text = format!("#/components/schemas/{before}/{}", text.trim_start_matches("#/"));
            }
            Value::Array(values) => values.iter_mut().for_each(|value| mend(value, before)),
            Value::Object(members) => {
                for (key, value) in members {
                    // A text that only looks like one is left as it is.
                    if key == "$ref" || !value.is_string() {
                        mend(value, before);
                    }
                }
            }
            _ => {}
        }
    }
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
    }
    mend(&mut schema, name);
    schema
}

fn problem() -> Value {
    json!({
        "title": "Problem details (RFC 9457)",
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer", "minimum": 400, "maximum": 599 },
            "detail": { "type": "string" },
        },
    })
}

/// The statuses of a route beside 200, and what each says. Others are of all routes: `default`.
fn statuses(route: &Route) -> Vec<(u16, &'static str)> {
    let Does::Ask(kind, segment) = route.does else { return Vec::new() };
    let has = |name: &str| route.parameters.iter().any(|parameter| parameter.name == name);
    let is_about_one = segment != Segment::None || has("target") || has("path") || has("file");
    let all = [
        (304, "Not changed since the client's copy (If-None-Match)", kind != Kind::Events),
        (400, "The question is not valid", segment != Segment::None || !route.parameters.is_empty()),
        (403, "The service does not answer that without --expose-files", kind == Kind::Owner),
        (404, "It does not exist", is_about_one && kind != Kind::Owner),
        (410, "That state is no longer kept", has("cursor") || kind == Kind::Diff),
    ];
    all.into_iter().filter(|(_, _, is_listed)| *is_listed).map(|(status, about, _)| (status, about)).collect()
}

fn path(route: &Route) -> Value {
    let kind = match route.does {
        Does::Ask(kind, _) => Some(kind),
        _ => None,
    };
    let mut parameters: Vec<Value> = route.parameters.iter().map(|it| parameter(it, kind)).collect();
    if let Some((_, rest)) = route.path.split_once('{')
        && let Some((name, _)) = rest.split_once('}')
    {
        let mut described = json!({
            "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 },
        });
        if let Some(example) = example_of_segment(route) {
            described["example"] = example.into();
        }
        parameters.push(described);
    }
    let (content, schema) = match route.does {
        Does::Ask(Kind::Events, _) => ("text/event-stream", json!({ "type": "string" })),
        Does::Ask(Kind::Diff, _) => ("application/jsonl", json!({ "type": "string" })),
        // With some fields only, an answer lacks what its schema requires.
        Does::Ask(kind, _) if route.parameters.iter().any(|parameter| parameter.name == "fields") => {
            ("application/json", json!({ "anyOf": [schema(kind), { "type": "object" }] }))
        }
        Does::Ask(kind, _) => ("application/json", schema(kind)),
        Does::OpenApi => ("application/json", json!({ "type": "object" })),
        Does::Alive | Does::Metrics => ("text/plain", json!({ "type": "string" })),
    };
    let problem = json!({
        "description": "Why there is no answer",
        "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/problem" } } },
    });
    let mut responses = json!({
        "200": { "description": route.summary, "content": { content: { "schema": schema } } },
        "default": problem,
    });
    if let Does::Ask(Kind::Snapshot, _) = route.does
        && !route.parameters.is_empty()
    {
        // What leads to the snapshot from the one that the client has.
        responses["200"]["content"]["application/merge-patch+json"] = json!({ "schema": { "type": "object" } });
    }
    for (status, about) in statuses(route) {
        let mut response = json!({ "description": about });
        if status >= 400 {
            response["content"] = responses["default"]["content"].clone();
        }
        responses[status.to_string()] = response;
    }
    json!({ "get": { "summary": route.summary, "parameters": parameters, "responses": responses } })
}

/// A value of a path's segment that every host answers, where there is one.
fn example_of_segment(route: &Route) -> Option<&'static str> {
    match route.does {
        Does::Ask(_, Segment::Process) => Some("1"),
        Does::Ask(_, Segment::Namespace) | Does::Ask(Kind::Mounts, Segment::Target) => Some("host"),
        _ => None,
    }
}

/// A value of a parameter with which every host answers, for each parameter that is needed, where there is one.
fn example(parameter: &Parameter) -> Option<Value> {
    match (parameter.name, parameter.values) {
        ("pid", _) => Some(1.into()),
        ("target", Values::Text) => Some("host".into()),
        ("path", Values::Text) => Some("/".into()),
        ("capability", Values::Text) => Some("net_admin".into()),
        ("action", Values::Text) => Some("unshare --net".into()),
        ("file", Values::Text) => Some("/etc/passwd".into()),
        _ => None,
    }
}

/// What answers to a question look like: by a schema of `components`, where there is one.
fn schema(kind: Kind) -> Value {
    let is_described = schemas().iter().any(|(question, _)| *question == kind.name());
    match kind {
        _ if is_described => json!({ "$ref": format!("#/components/schemas/{}", kind.name()) }),
        Kind::PidMap => json!({ "type": "array" }),
        _ => json!({ "type": "object" }),
    }
}

fn parameter(parameter: &Parameter, kind: Option<Kind>) -> Value {
    let is_required = matches!(parameter.values, Values::Text | Values::State | Values::Pid);
    let like = |pattern: &str| json!({ "type": "string", "pattern": pattern });
    let text = json!({ "type": "string", "minLength": 1 });
    let (schema, explode) = match parameter.values {
        Values::Text | Values::SomeText => (text, None),
        Values::Texts => (json!({ "type": "array", "items": text }), Some(true)),
        Values::One(values) => (json!({ "enum": values }), None),
        Values::AnyOf(values) => (json!({ "type": "array", "items": { "enum": values } }), Some(false)),
        Values::Fields => {
            (json!({ "type": "array", "items": { "enum": kind.map(fields_of) }, "minItems": 1 }), Some(false))
        }
        Values::Number(least, most) => (json!({ "type": "integer", "minimum": least, "maximum": most }), None),
        Values::Pid => (json!({ "type": "integer", "minimum": 1, "maximum": 4_194_304 }), None),
        Values::Ports => {
            let port = json!({ "type": "integer", "minimum": 0, "maximum": 65535 });
            (json!({ "type": "array", "items": port }), Some(false))
        }
        Values::Flag => (json!({ "enum": ["", "0", "1", "false", "true"] }), None),
        Values::State | Values::SomeState => (like("^[0-9a-f]{8}\\.[0-9]{1,19}$"), None),
        Values::Cursor => (like("^[0-9a-f]{8}\\.[0-9]{1,19}\\.[0-9]{1,9}$"), None),
    };
    let mut described = json!({
        "name": parameter.name, "in": "query", "description": parameter.about, "required": is_required,
        "schema": schema,
    });
    if let (Some(explode), Some(members)) = (explode, described.as_object_mut()) {
        members.insert("style".to_owned(), "form".into());
        members.insert("explode".to_owned(), explode.into());
    }
    if let Some(example) = example(parameter) {
        described["example"] = example;
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_has_an_example() {
        let description: Value = serde_json::from_str(&text("")).unwrap();
        for (path, at) in description["paths"].as_object().unwrap() {
            let parameters = at["get"]["parameters"].as_array().unwrap();
            let needed = parameters.iter().filter(|parameter| parameter["required"] == true);
            for parameter in needed.filter(|parameter| parameter["example"].is_null()) {
                // No host has these but by chance.
                let is_of_chance = [("/api/v1/containers/{target}", "target"), ("/api/v1/diff", "since")];
                let name = parameter["name"].as_str().unwrap();
                assert!(is_of_chance.contains(&(path, name)), "{path}: {name}");
            }
        }
    }

    #[test]
    fn each_route_is_described_and_each_reference_leads_somewhere() {
        let description: Value = serde_json::from_str(&text("/base")).unwrap();
        let paths = description["paths"].as_object().unwrap();
        assert_eq!(paths.len(), ROUTES.len());
        assert_eq!(description["servers"][0]["url"], "/base");
        for route in ROUTES {
            let takes = matches!(route.does, Does::Ask(_, segment) if segment != Segment::None);
            assert_eq!(takes, route.path.contains('{'), "{}", route.path);
        }
        let mut references = Vec::new();
        let mut todo = vec![&description];
        while let Some(value) = todo.pop() {
            match value {
                Value::Array(values) => todo.extend(values),
                Value::Object(members) => {
                    references.extend(members.get("$ref").and_then(Value::as_str));
                    todo.extend(members.values());
                }
                _ => {}
            }
        }
        assert!(references.len() > 20, "{references:?}");
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(description.pointer(pointer).is_some(), "{reference}");
        }
    }
}
