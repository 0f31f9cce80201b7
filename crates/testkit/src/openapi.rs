//! Documents that cannot lie: checks what the server answered against its own OpenAPI document.
//!
//! Guarantees: an operation, status or content type that the document does not name is an error, and so is a member of
//! a response that its schema does not list. Every HTTP test that goes through [`Validator::check`] therefore fails as
//! soon as code and document part. The document itself is not changed: a client must ignore unknown members, only our
//! own tests may not.

use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// How far references are followed to see whether a schema lists members; longer circles are cut.
const MAX_REFERENCE_DEPTH: usize = 32;
/// Schema errors named in one message.
const MAX_ERRORS: usize = 10;

/// Checks responses against one OpenAPI 3.1 document.
pub struct Validator {
    document: Value,
    /// `components` with every object that lists members closed where a value of it stands.
    closed_components: Value,
    /// Compiled schemas by their place in the document.
    compiled: Mutex<HashMap<String, Arc<jsonschema::Validator>>>,
}

impl Validator {
    /// Takes the document as parsed JSON. Nothing is compiled yet.
    pub fn new(document: Value) -> Validator {
        let mut closed_components = document.get("components").cloned().unwrap_or_else(|| json!({}));
        if let Some(schemas) = closed_components.get_mut("schemas").and_then(Value::as_object_mut) {
            for schema in schemas.values_mut() {
                close_inside(schema, &document);
            }
        }
        Validator { document, closed_components, compiled: Mutex::default() }
    }

    /// Checks one response. `path` may carry a query; `content_type` may carry parameters; an empty body has none.
    ///
    /// The error names the operation and everything that is wrong with the body.
    pub fn check(
        &self,
        method: &str,
        path: &str,
        status: u16,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), String> {
        let path = path.split(['?', '#']).next().unwrap_or(path);
        let template = self.template(path).ok_or_else(|| format!("{path}: the document has no such path"))?;
        let method = method.to_ascii_lowercase();
        let here = format!("{method} {template} → {status}");
        let operation = self
            .document
            .pointer(&format!("/paths/{}/{method}", escaped(template)))
            .ok_or_else(|| format!("{here}: the document has no such operation"))?;
        let response =
            self.response(operation, status).ok_or_else(|| format!("{here}: the status is not documented"))?;
        let content = response.get("content").and_then(Value::as_object).filter(|content| !content.is_empty());
        let Some(content) = content else {
            let empty = body.is_empty();
            return if empty { Ok(()) } else { Err(format!("{here}: a body came, the document says there is none")) };
        };
        let sent = content_type.map(|value| value.split(';').next().unwrap_or("").trim().to_ascii_lowercase());
        let sent = sent.ok_or_else(|| format!("{here}: the response has no content type"))?;
        let media = content.get(&sent).ok_or_else(|| format!("{here}: content type {sent} is not documented"))?;
        let (Some(schema), true) = (media.get("schema"), sent.ends_with("json")) else { return Ok(()) };
        let value: Value =
            serde_json::from_slice(body).map_err(|error| format!("{here}: the body is no JSON: {error}"))?;
        let validator = self.compiled(&format!("{here} {sent}"), schema)?;
        let wrong: Vec<_> = validator
            .iter_errors(&value)
            .take(MAX_ERRORS)
            .map(|error| format!("  at `{}`: {error}", error.instance_path()))
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            Err(format!("{here}: the body is not as documented\n{}", wrong.join("\n")))
        }
    }

    /// The path template that covers a path; a literal part beats a parameter.
    pub fn template(&self, path: &str) -> Option<&str> {
        let is_parameter = |part: &str| part.starts_with('{') && part.ends_with('}');
        let parts: Vec<_> = path.split('/').collect();
        let covers = |template: &&String| {
            let pattern: Vec<_> = template.split('/').collect();
            pattern.len() == parts.len()
                && pattern.iter().zip(&parts).all(|(want, got)| want == got || (is_parameter(want) && !got.is_empty()))
        };
        let templates = self.document.get("paths")?.as_object()?.keys().filter(covers);
        let parameters = |template: &&String| template.split('/').map(is_parameter).collect::<Vec<_>>();
        templates.min_by_key(parameters).map(String::as_str)
    }

    /// The documented response for a status: itself, its class (`4XX`), or `default`.
    fn response<'d>(&'d self, operation: &'d Value, status: u16) -> Option<&'d Value> {
        let responses = operation.get("responses")?;
        let found = [status.to_string(), format!("{}XX", status / 100), "default".into()];
        let response = found.iter().find_map(|key| responses.get(key))?;
        resolved(response, &self.document)
    }

    fn compiled(&self, key: &str, schema: &Value) -> Result<Arc<jsonschema::Validator>, String> {
        let mut compiled = self.compiled.lock().map_err(|_| "another check panicked".to_owned())?;
        if let Some(known) = compiled.get(key) {
            return Ok(known.clone());
        }
        let mut schema = schema.clone();
        close(&mut schema, &self.document);
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "allOf": [schema],
            "components": self.closed_components,
        });
        let options = jsonschema::options().with_draft(jsonschema::Draft::Draft202012).should_validate_formats(true);
        let validator = options.build(&root).map_err(|error| format!("{key}: the schema itself is wrong: {error}"))?;
        Ok(compiled.entry(key.to_owned()).or_insert(Arc::new(validator)).clone())
    }
}

/// A path as one part of a JSON pointer.
fn escaped(part: &str) -> String {
    part.replace('~', "~0").replace('/', "~1")
}

/// Follows `$ref` to what it names.
fn resolved<'d>(mut value: &'d Value, document: &'d Value) -> Option<&'d Value> {
    for _ in 0..MAX_REFERENCE_DEPTH {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => value = document.pointer(reference.strip_prefix('#')?)?,
            None => return Some(value),
        }
    }
    None
}

/// Closes a schema that stands for one value, and all values inside it.
///
/// Parts of a composition are not closed by themselves: each would refuse the members of the others.
fn close(schema: &mut Value, document: &Value) {
    close_inside(schema, document);
    let lists = lists_members(schema, document, MAX_REFERENCE_DEPTH);
    if let (true, Value::Object(schema)) = (lists, schema) {
        schema.entry("unevaluatedProperties").or_insert(Value::Bool(false));
    }
}

/// Closes the values inside a schema, but not the schema's own value.
fn close_inside(schema: &mut Value, document: &Value) {
    let Value::Object(schema) = schema else { return };
    for (keyword, inside) in schema.iter_mut() {
        match (keyword.as_str(), inside) {
            ("properties" | "patternProperties", Value::Object(members)) => {
                members.values_mut().for_each(|member| close(member, document));
            }
            ("items" | "additionalProperties", member @ Value::Object(_)) => close(member, document),
            ("prefixItems", Value::Array(items)) => items.iter_mut().for_each(|item| close(item, document)),
            ("allOf" | "oneOf" | "anyOf", Value::Array(parts)) => {
                parts.iter_mut().for_each(|part| close_inside(part, document));
            }
            _ => {}
        }
    }
}

/// Does the schema, or a part of it, name members? One that names none is free-form and stays open.
fn lists_members(schema: &Value, document: &Value, depth: usize) -> bool {
    let (Some(own), Some(depth)) = (schema.as_object(), depth.checked_sub(1)) else { return false };
    let names = |map: &Map<String, Value>| map.contains_key("properties");
    let parts = ["allOf", "oneOf", "anyOf"].iter().filter_map(|keyword| own.get(*keyword)?.as_array()).flatten();
    let target = own.get("$ref").and_then(|_| resolved(schema, document));
    names(own) || parts.chain(target).any(|part| lists_members(part, document, depth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator() -> Validator {
        Validator::new(json!({
            "openapi": "3.1.0",
            "paths": {
                "/v1/things": { "get": { "responses": { "200": { "content": { "application/json": { "schema": {
                    "type": "object", "required": ["data"],
                    "properties": { "data": { "type": "array", "items": { "$ref": "#/components/schemas/Thing" } } },
                } } } } } } },
                "/v1/things/{id}": {
                    "get": { "responses": {
                        "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } },
                        "4XX": { "$ref": "#/components/responses/Problem" },
                    } },
                    "delete": { "responses": { "204": { "description": "gone" } } },
                },
                "/v1/things/mine": { "get": { "responses": { "200": { "content": {
                    "application/json": { "schema": { "type": "string" } }, "text/csv": {} } } } } },
            },
            "components": {
                "responses": { "Problem": { "content": { "application/problem+json": { "schema": {
                    "type": "object", "required": ["code"], "properties": { "code": { "type": "string" } } } } } } },
                "schemas": {
                    "Named": { "type": "object", "required": ["name"], "properties": { "name": { "type": "string" } } },
                    "Thing": {
                        "allOf": [
                            { "$ref": "#/components/schemas/Named" },
                            { "type": "object", "properties": {
                                "at": { "type": "string", "format": "date-time" },
                                "owner": { "anyOf": [{ "$ref": "#/components/schemas/Named" }, { "type": "null" }] },
                                "parent": { "$ref": "#/components/schemas/Thing" },
                                "free": { "type": "object" },
                                "any": {},
                                "map": { "type": "object", "additionalProperties": { "$ref": "#/components/schemas/Named" } },
                            } },
                        ],
                    },
                },
            },
        }))
    }

    const JSON: Option<&str> = Some("application/json; charset=utf-8");

    #[test]
    fn what_is_documented_passes() {
        let validator = validator();
        let thing = r#"{"name":"a","at":"2026-01-01T00:00:00.000Z","owner":null,"parent":{"name":"b","owner":{"name":"c"}},
            "free":{"x":1},"any":{"y":[{}]},"map":{"k":{"name":"d"}}}"#;
        let list = format!(r#"{{"data":[{thing},{thing}]}}"#);
        for (method, path, status, content_type, body) in [
            ("GET", "/v1/things?limit=1", 200, JSON, list.as_str()),
            ("GET", "/v1/things/7", 200, JSON, thing),
            ("GET", "/v1/things/mine", 200, JSON, "\"literal beats parameter\""),
            ("GET", "/v1/things/mine", 200, Some("text/csv"), "a,b"),
            ("GET", "/v1/things/7", 404, Some("application/problem+json"), r#"{"code":"not_found"}"#),
            ("DELETE", "/v1/things/7", 204, None, ""),
        ] {
            let checked = validator.check(method, path, status, content_type, body.as_bytes());
            assert_eq!(checked, Ok(()), "{method} {path}");
        }
    }

    #[test]
    fn what_is_not_documented_is_an_error() {
        let validator = validator();
        let table = [
            ("GET", "/v1/other", 200, JSON, "{}", "no such path"),
            ("GET", "/v1/things/", 200, JSON, "{}", "no such path"),
            ("POST", "/v1/things", 200, JSON, "{}", "no such operation"),
            ("GET", "/v1/things", 201, JSON, "{}", "status is not documented"),
            ("GET", "/v1/things", 200, Some("text/plain"), "{}", "text/plain is not documented"),
            ("GET", "/v1/things", 200, None, "{}", "no content type"),
            ("DELETE", "/v1/things/7", 204, JSON, "{}", "there is none"),
            ("GET", "/v1/things", 200, JSON, "{", "no JSON"),
            ("GET", "/v1/things", 200, JSON, "{}", "data"),
            ("GET", "/v1/things/7", 200, JSON, r#"{"name":1}"#, "/name"),
            ("GET", "/v1/things/7", 200, JSON, r#"{"name":"a","at":"yesterday"}"#, "/at"),
        ];
        for (method, path, status, content_type, body, expected) in table {
            let error = validator.check(method, path, status, content_type, body.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{method} {path} {body}: {error}");
        }
    }

    #[test]
    fn a_member_that_the_schema_does_not_list_is_an_error_at_every_depth() {
        let validator = validator();
        for body in [
            r#"{"name":"a","extra":1}"#,
            r#"{"name":"a","owner":{"name":"b","extra":1}}"#,
            r#"{"name":"a","parent":{"name":"b","extra":1}}"#,
            r#"{"name":"a","parent":{"name":"b","parent":{"name":"c","extra":1}}}"#,
            r#"{"name":"a","map":{"k":{"name":"d","extra":1}}}"#,
        ] {
            let error = validator.check("GET", "/v1/things/7", 200, JSON, body.as_bytes()).unwrap_err();
            assert!(error.contains("extra"), "{body}: {error}");
        }
        let list = br#"{"data":[],"extra":1}"#;
        assert!(validator.check("GET", "/v1/things", 200, JSON, list).unwrap_err().contains("extra"));
        let problem = br#"{"code":"x","extra":1}"#;
        let kind = Some("application/problem+json");
        assert!(validator.check("GET", "/v1/things/7", 404, kind, problem).unwrap_err().contains("extra"));
    }
}
