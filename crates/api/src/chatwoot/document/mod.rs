//! The document of this dialect, made from a table: handlers here take whatever clients send and answer values, so that there
//! are no types to derive it from. Tests hold every route and every answer to it.

mod notation;
mod operations;

use operations::{GROUPS, NO_CONTENT, Operation, Who};
use serde_json::{Map, Value, json};
use tieline_wire::chatwoot::shapes::{SHAPES, WORDS};
use utoipa::openapi::OpenApi;

const ABOUT: &str = "What clients of Chatwoot's API channel know: the client API under `/public/api/v1`, without \
    credentials, and the application API under `/api/v1/accounts`, with a user's or a bot's access token in \
    `api_access_token`, `Api-Access-Token` or `Authorization: Bearer`. Bodies may be JSON or forms, flat or wrapped; \
    numbers may come as text; PUT and PATCH do the same; a slash or `.json` may end a path. \
    What is the same as in Chatwoot, what is better and what is missing: `docs/chatwoot.md`.";

const ERRORS: [(&str, &str); 12] = [
    ("400", "The body cannot be read"),
    ("401", "No token, or one that does not work, or may not do this"),
    ("402", "The quota is used up"),
    ("403", "Not for this kind of inbox"),
    ("404", "Not there, or another account's"),
    ("408", "The body took too long to arrive"),
    ("413", "The body is too large"),
    ("415", "The body is of no kind that is read here"),
    ("422", "Not valid"),
    ("500", "Our fault"),
    ("501", "Not set up here"),
    ("503", "Not now: try again after Retry-After"),
];

/// The document.
pub fn document() -> OpenApi {
    serde_json::from_value(table()).expect("the table makes a document")
}

fn table() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for (group, operations) in GROUPS {
        for operation in *operations {
            let path = operation.path();
            let item = paths.entry(path.clone()).or_insert_with(|| json!({}));
            for method in operation.methods.split(' ') {
                item[method.to_lowercase()] = described(group, operation, method, &path);
            }
        }
    }
    let mut schemas: Map<String, Value> = Map::new();
    for (name, about, members) in SHAPES {
        let mut schema = notation::object(members);
        schema["description"] = (*about).into();
        schemas.insert((*name).to_owned(), schema);
    }
    schemas.extend(WORDS.iter().map(|(name, words)| ((*name).to_owned(), notation::schema(words))));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "API inbox",
            "description": ABOUT,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": "api_access_token",
                "description": "A user's access token, or a bot's."}},
        },
        "tags": GROUPS.iter().map(|(group, _)| json!({"name": group})).collect::<Vec<_>>(),
    })
}

/// Parts of a path that are no numbers.
fn is_text(parameter: &str, path: &str) -> bool {
    parameter == "uuid" || (path.starts_with("/public") && ["inbox", "contact"].contains(&parameter))
}

fn described(group: &str, operation: &Operation, method: &str, path: &str) -> Value {
    let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Value> = named
        .map(|name| {
            let schema = notation::schema(if is_text(name, path) { "text" } else { "int" });
            json!({"name": name, "in": "path", "required": true, "schema": schema})
        })
        .collect();
    parameters.extend(
        notation::members(operation.query).into_iter().map(
            |(name, required, schema)| json!({"name": name, "in": "query", "required": required, "schema": schema}),
        ),
    );
    let words = path.trim_start_matches("/api/v1/").replace("accounts/{account}/", "");
    let words = words.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty() && *word != "v1");
    let id = std::iter::once(method.to_lowercase()).chain(words.map(str::to_owned)).collect::<Vec<_>>().join("_");
    let who = match operation.who {
        Who::Anyone => "",
        Who::Bot => " For users and bots.",
        Who::Agent => "",
        Who::Admin => " For administrators.",
    };
    let mut responses: Map<String, Value> = ERRORS
        .iter()
        .map(|(status, about)| {
            let content = json!({"application/json": {"schema": notation::schema("Refusal")}});
            ((*status).to_owned(), json!({"description": about, "content": content}))
        })
        .collect();
    let late = json!({"description": "Too many requests", "content": {"text/plain": {"schema": {"type": "string"}}}});
    responses.insert("429".into(), late);
    let (status, answer) = if operation.answer == NO_CONTENT { (NO_CONTENT, "") } else { ("200", operation.answer) };
    let mut success = json!({"description": "Done"});
    if !answer.is_empty() {
        success["content"] = json!({"application/json": {"schema": notation::schema(answer)}});
    }
    responses.insert(status.into(), success);
    let mut described = json!({
        "tags": [group],
        "summary": operation.says.split_once('.').map_or(operation.says, |(first, _)| first),
        "description": format!("{}{who}", operation.says),
        "operationId": id,
        "parameters": parameters,
        "responses": responses,
        "security": if matches!(operation.who, Who::Anyone) { json!([]) } else { json!([{"token": []}]) },
    });
    if !operation.body.is_empty() {
        let schema = notation::object(operation.body);
        let content = json!({"application/json": {"schema": schema}, "multipart/form-data": {"schema": schema}});
        described["requestBody"] = json!({"content": content});
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_the_table_is_lost() {
        let (document, table) = (json!(document()), table());
        for part in ["paths", "components", "tags"] {
            assert!(document[part] == table[part], "{part}");
        }
    }
}
