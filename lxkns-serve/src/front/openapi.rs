//! The description of the API: made from the routes, and from the schemas of the answers.

use std::collections::BTreeMap;

use hyper::body::Bytes;
use lxkns_answers::json::Envelope;
use lxkns_answers::schemas;
use lxkns_core::wire;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::encoding::Encoding;
use super::page::Part;
use super::routes::{Does, Parameter, ROUTES, Route, Segment, Values};
use super::server::POLICY;
use crate::lists::fields_of;
use crate::protocol::Kind;
use crate::reader::{Readiness, StateAnswer};
use crate::tag;

/// The description, as it is sent.
pub(super) struct Description {
    plain: Bytes,
    compressed: Bytes,
    tag: u128,
}

impl Description {
    /// That of a service below this path.
    pub(super) fn new(base_path: &str) -> Self {
        let text = text(base_path).into_bytes();
        let tag = tag::of(&text);
        // Without memory for a compressor the program ends anyway.
        let compressed = Encoding::Gzip.whole(text.clone()).unwrap_or_default();
        Self { plain: text.into(), compressed: compressed.into(), tag }
    }

    /// It, as a client takes it.
    pub(super) fn part(&self, encoding: Encoding) -> Part {
        let is_compressed = encoding == Encoding::Gzip && !self.compressed.is_empty();
        Part {
            policy: POLICY,
            cache_control: "no-cache",
            vary: "accept-encoding",
            tag: format!("\"{:032x}{}\"", self.tag, if is_compressed { "-gzip" } else { "" }),
            content_type: "application/json",
            encoding: if is_compressed { Encoding::Gzip } else { Encoding::Identity },
            body: if is_compressed { self.compressed.clone() } else { self.plain.clone() },
        }
    }
}

/// The description, OpenAPI 3.1.
fn text(base_path: &str) -> String {
    let mut definitions = Map::new();
    // No route answers what entering would do.
    for (question, schema) in schemas().into_iter().filter(|(question, _)| *question != "enter") {
        definitions.insert(question.to_owned(), with_own_definitions(question, schema));
    }
    let dump = with_own_definitions(DUMP, wire::schema());
    definitions.insert(Kind::Processes.name().to_owned(), dump["properties"]["processes"].clone());
    let own = [(DUMP, dump), ("history", schema_of::<Envelope<StateAnswer>>()), ("ready", schema_of::<Readiness>())];
    definitions.extend(own.map(|(name, schema)| (name.to_owned(), with_own_definitions(name, schema))));
    definitions.insert(Kind::PidMap.name().to_owned(), pid_map());
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
            "headers": {
                "ETag": { "description": "Names the answer, for If-None-Match", "schema": { "type": "string" } },
                "Age": { "description": "How old the scan is, in seconds", "schema": { "type": "integer", "minimum": 0 } },
                "Lxkns-State": { "description": "The state that the answer is about", "schema": like(STATE) },
                "Link": { "description": "Leads to the next page, if there is one", "schema": { "type": "string" } },
            },
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    });
    format!("{description}\n")
}

/// What the ID of a state looks like.
const STATE: &str = "^[0-9a-f]{8}\\.[0-9]{1,19}$";

fn like(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

/// The name of the snapshot's schema.
const DUMP: &str = "dump";

fn schema_of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>().to_value()
}

fn pid_map() -> Value {
    let number = json!({ "type": "integer", "minimum": 1 });
    let pid = json!({ "type": "object", "required": ["pid", "nsid"], "properties": { "pid": number, "nsid": number } });
    json!({
        "title": "The PIDs of each process, from its own PID namespace up to the initial one",
        "type": "array",
        "items": { "type": "array", "items": pid },
    })
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
    let is_about_one = segment != Segment::None || ["target", "path", "file", "action"].into_iter().any(has);
    let all = [
        (304, "Not changed since the client's copy (If-None-Match)", kind != Kind::Events),
        (400, "The question is not valid", segment != Segment::None || !route.parameters.is_empty()),
        (403, "The service does not answer that without --expose-files, or cannot see it", kind == Kind::Owner),
        (
            403,
            "It may exist, but the service cannot see it",
            is_about_one && ![Kind::Owner, Kind::Busy].contains(&kind),
        ),
        (404, "It does not exist", is_about_one),
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
    if let Does::Ask(Kind::Events, _) = route.does {
        let about = "The ID of the last event that the client has; counts before `since`";
        let schema = json!({ "type": "string" });
        parameters.push(json!({ "name": "Last-Event-ID", "in": "header", "description": about, "schema": schema }));
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
    if let Does::Ask(kind, _) = route.does
        && kind != Kind::Events
    {
        let has_pages = route.parameters.iter().any(|parameter| parameter.name == "cursor");
        let names = ["ETag", "Age", "Lxkns-State"].into_iter().chain(has_pages.then_some("Link"));
        let reference = |name: &str| (name.to_owned(), json!({ "$ref": format!("#/components/headers/{name}") }));
        responses["200"]["headers"] = names.map(reference).collect();
    }
    let contents = &mut responses["200"]["content"];
    match route.does {
        // What leads to the snapshot from the one that the client has.
        Does::Ask(Kind::Snapshot, _) if !route.parameters.is_empty() => {
            contents["application/merge-patch+json"] = json!({ "schema": { "type": "object" } });
        }
        Does::Ask(Kind::Events, _) => contents[content] = lines("watch"),
        Does::Ask(Kind::Diff, _) => contents[content] = lines("diff"),
        Does::Metrics => contents["application/openmetrics-text"] = json!({ "schema": { "type": "string" } }),
        _ => {}
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
        ("target", Values::SomeTexts) => Some(json!(["host"])),
        ("path", Values::Text) => Some("/".into()),
        ("capability", Values::Text) => Some("net_admin".into()),
        ("action", Values::Text) => Some("unshare --net".into()),
        ("file", Values::Text) => Some("/etc/passwd".into()),
        _ => None,
    }
}

/// What answers to a question look like: a schema of `components`.
fn schema(kind: Kind) -> Value {
    json!({ "$ref": format!("#/components/schemas/{}", kind.name()) })
}

/// The content of an answer whose lines, or the data of whose events, are like a schema of `components`.
fn lines(name: &str) -> Value {
    json!({ "schema": { "type": "string" }, "x-item-schema": { "$ref": format!("#/components/schemas/{name}") } })
}

fn parameter(parameter: &Parameter, kind: Option<Kind>) -> Value {
    let is_required = matches!(parameter.values, Values::Text | Values::SomeTexts | Values::State | Values::Pid);
    let text = json!({ "type": "string", "minLength": 1 });
    let (schema, explode) = match parameter.values {
        Values::Text | Values::SomeText => (text, None),
        Values::SomeTexts => (json!({ "type": "array", "items": text, "minItems": 1 }), Some(true)),
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
        Values::State | Values::SomeState => (like(STATE), None),
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
