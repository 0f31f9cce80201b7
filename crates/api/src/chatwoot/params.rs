//! What clients send: JSON, forms and multipart, flat or wrapped, numbers as text; queries with brackets or without.
//!
//! Values are read leniently, as the contract's ground rules ask: a wrong type is as if the member were not there, unless a
//! verb refuses what is missing. Files of a form go into the store while they arrive.

use super::refused::Refused;
use crate::http::request::{AnyBody, BODY_LIMIT, BodyLimit};
use crate::hub::Hub;
use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request};
use http::header;
use serde_json::{Map, Value};
use std::str::FromStr;
use std::time::Duration;
use tieline_core::attachments::{self, Attach, CreateUpload, FILES_LIMIT, NewAttachment, Received, kind};
use tieline_core::error::{Error, Kind};
use tieline_core::ids::TenantId;
use tokio::time::timeout;
use url::form_urlencoded;

/// Parts of a form, members of a query.
const PARTS_LIMIT: usize = 500;
/// All texts of a form, bytes.
const TEXT_LIMIT: usize = 1024 * 1024;
/// Longest silence of a client in the middle of a form.
const SILENCE: Duration = Duration::from_secs(30);

/// A number in a path, with or without `.json`.
#[derive(Clone, Copy)]
pub(super) struct Number(pub i64);

impl FromStr for Number {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Number, Self::Err> {
        text.trim_end_matches(".json").parse().map(Number)
    }
}

/// The members of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Params {
    values: Map<String, Value>,
    /// Whether members of a wrapper may stand beside it.
    is_json: bool,
    /// Files that came with it.
    files: Vec<NewAttachment>,
}

impl FromRequest<Hub> for Params {
    type Rejection = Refused;
    async fn from_request(request: Request, hub: &Hub) -> Result<Params, Refused> {
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let essence = content_type.unwrap_or("").split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match essence.as_str() {
            // Only routes with an owner of files take them: see `with_files`.
            "multipart/form-data" => form(request, hub, None).await,
            "application/x-www-form-urlencoded" => {
                let AnyBody(bytes) = AnyBody::from_request(request, hub).await?;
                let mut params = Params::default();
                for (name, value) in form_urlencoded::parse(&bytes).take(PARTS_LIMIT) {
                    put(&mut params.values, &name, Value::String(value.into_owned()));
                }
                Ok(params)
            }
            _ => {
                let AnyBody(bytes) = AnyBody::from_request(request, hub).await?;
                let values = match serde_json::from_slice(&bytes) {
                    Ok(Value::Object(values)) => values,
                    Err(_) if !bytes.is_empty() => {
                        return Err(Refused::with(http::StatusCode::BAD_REQUEST, "The request body is no valid JSON."));
                    }
                    _ => Map::new(),
                };
                Ok(Params { values, is_json: true, files: Vec::new() })
            }
        }
    }
}

/// The members of a request that may carry files for a message of this tenant.
pub(super) async fn with_files(request: Request, hub: &Hub, tenant: TenantId) -> Result<Params, Refused> {
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content_type.is_some_and(|text| text.trim().to_ascii_lowercase().starts_with("multipart/form-data")) {
        return form(request, hub, Some(tenant)).await;
    }
    // Only files may be as large as the route allows.
    let mut request = request;
    request.extensions_mut().insert(BodyLimit(BODY_LIMIT));
    Params::from_request(request, hub).await
}

fn broken() -> Refused {
    Refused::with(http::StatusCode::BAD_REQUEST, "The form is broken, or ended before its last part.")
}

async fn form(request: Request, hub: &Hub, owner: Option<TenantId>) -> Result<Params, Refused> {
    // What a part may have is checked here, and of files by the store.
    let mut form = Multipart::from_request(request, hub).await.map_err(|_| broken())?;
    let mut params = Params::default();
    let mut text_bytes = 0;
    for _ in 0..PARTS_LIMIT {
        let next = timeout(SILENCE, form.next_field()).await.map_err(|_| broken())?;
        let Some(mut part) = next.map_err(|_| broken())? else { break };
        let name = part.name().unwrap_or("").to_owned();
        if part.file_name().is_some() {
            if let Some(tenant) = owner.filter(|_| params.files.len() < FILES_LIMIT) {
                params.files.push(NewAttachment::Uploaded(receive(hub, tenant, &mut part).await?));
            }
            continue;
        }
        let mut text = Vec::new();
        while let Some(bytes) = timeout(SILENCE, part.chunk()).await.map_err(|_| broken())?.map_err(|_| broken())? {
            text.extend_from_slice(&bytes);
            text_bytes += bytes.len();
            if text_bytes > TEXT_LIMIT {
                return Err(crate::http::error::payload_too_large(TEXT_LIMIT).into());
            }
        }
        put(&mut params.values, &name, Value::String(String::from_utf8_lossy(&text).into_owned()));
    }
    Ok(params)
}

/// Stores a file while it arrives.
async fn receive(
    hub: &Hub,
    tenant: TenantId,
    part: &mut Field<'_>,
) -> Result<tieline_core::ids::AttachmentId, Refused> {
    let name = kind::file_name(part.file_name().unwrap_or("file"));
    let declared = kind::declared_type(part.content_type());
    let given = CreateUpload { name: name.clone(), content_type: declared.clone() };
    let id = hub.db.write(move |tx| attachments::reserve(tx, tenant, &given)).await?;
    let mut writing = hub.files.create(tenant, id).await?;
    while let Some(bytes) = timeout(SILENCE, part.chunk()).await.map_err(|_| broken())?.map_err(|_| broken())? {
        writing.write(bytes).await?;
    }
    let written = writing.finish().await?;
    let content_type = kind::content_type(&written.head, &declared);
    let received = Received { id, name, size: written.size as i64, content_type };
    hub.db.write(move |tx| attachments::receive(tx, tenant, &received)).await?;
    Ok(id)
}

/// Puts `a[b][c]`, `a[]` or `a` where it belongs.
fn put(values: &mut Map<String, Value>, name: &str, value: Value) {
    let Some((head, rest)) = name.split_once('[') else {
        values.insert(name.to_owned(), value);
        return;
    };
    let slot = values.entry(head.to_owned()).or_insert(Value::Null);
    let keys: Vec<&str> = rest.split('[').map(|key| key.trim_end_matches(']')).take(8).collect();
    put_at(slot, &keys, value);
}

fn put_at(slot: &mut Value, keys: &[&str], value: Value) {
    match keys {
        [] => *slot = value,
        ["", rest @ ..] => {
            if !slot.is_array() {
                *slot = Value::Array(Vec::new());
            }
            if let Value::Array(list) = slot {
                let mut item = Value::Null;
                put_at(&mut item, rest, value);
                list.push(item);
            }
        }
        [key, rest @ ..] => {
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Value::Object(map) = slot {
                put_at(map.entry((*key).to_owned()).or_insert(Value::Null), rest, value);
            }
        }
    }
}

impl Params {
    /// The members of a query; a name that comes twice is a list.
    pub fn of_query(query: Option<&str>) -> Params {
        let mut values = Map::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or("").as_bytes()).take(PARTS_LIMIT) {
            let value = Value::String(value.into_owned());
            match values.get_mut(&*name) {
                Some(Value::Array(list)) => list.push(value),
                Some(first) => *first = Value::Array(vec![first.take(), value]),
                None => put(&mut values, &name, value), // also the next of `labels[]`
            }
        }
        Params { values, ..Params::default() }
    }

    /// The members inside a wrapper: those named beside it count too in JSON.
    ///
    /// Errors: 422 when there is nothing at all.
    pub fn wrapped(mut self, name: &str) -> Result<Params, Refused> {
        match self.values.remove(name) {
            Some(Value::Object(values)) if !values.is_empty() => Ok(Params { values, ..self }),
            _ if self.is_json && !self.values.is_empty() => Ok(self),
            _ => {
                let text = format!("param is missing or the value is empty: {name}");
                Err(Refused::unprocessable(&text))
            }
        }
    }

    /// The members of an object inside.
    pub fn inner(&self, name: &str) -> Params {
        Params { values: self.object(name).unwrap_or_default(), is_json: self.is_json, files: Vec::new() }
    }

    /// Takes over a member of another request, where this one has none of its name.
    pub fn take_from(&mut self, other: &Params, name: &str) {
        if let Some(value) = other.values.get(name).filter(|_| !self.has(name)) {
            self.values.insert(name.to_owned(), value.clone());
        }
    }

    /// Whether the member is there, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    /// The member as it came.
    pub fn raw(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A text; a number counts as its digits, `"null"` and null as nothing.
    pub fn text(&self, name: &str) -> Option<String> {
        let text = match self.values.get(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return None,
        };
        (text != "null" && !text.contains('\0')).then_some(text)
    }

    /// A text that is not blank, trimmed.
    pub fn word(&self, name: &str) -> Option<String> {
        self.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A whole number, as number or text.
    pub fn number(&self, name: &str) -> Option<i64> {
        match self.values.get(name)? {
            Value::Number(number) => number.as_i64().or_else(|| number.as_f64().map(|float| float as i64)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whole numbers, in a list or one alone.
    pub fn numbers(&self, name: &str) -> Vec<i64> {
        let number = |value: &Value| match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        match self.values.get(name) {
            Some(Value::Array(list)) => list.iter().filter_map(number).collect(),
            Some(one) => number(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// Texts, in a list or one alone.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        match self.values.get(name) {
            Some(Value::Array(list)) => list.iter().filter_map(text).collect(),
            Some(one) => text(one).into_iter().collect(),
            None => Vec::new(),
        }
    }

    /// A truth value, as such, as text or as 0 and 1.
    pub fn truth(&self, name: &str) -> Option<bool> {
        match self.values.get(name)? {
            Value::Bool(truth) => Some(*truth),
            Value::Number(number) => number.as_i64().map(|number| number != 0),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "1" | "t" | "on" | "yes" => Some(true),
                "false" | "0" | "f" | "off" | "no" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// An object, as such or as JSON text.
    pub fn object(&self, name: &str) -> Option<Map<String, Value>> {
        match self.values.get(name)? {
            Value::Object(map) => Some(map.clone()),
            Value::String(text) => serde_json::from_str(text).ok(),
            _ => None,
        }
    }

    /// Number of the page, from 1.
    pub fn page(&self) -> i64 {
        self.number("page").unwrap_or(1).clamp(1, 100_000)
    }

    /// The files, for a message.
    pub fn attach(&self, hub: &Hub) -> Attach {
        Attach { files: self.files.clone(), links: Some(hub.files.links().clone()), pointer: "/attachments" }
    }
}

/// An address of a contact, checked: the normalised one, none for blank.
///
/// Errors: 422 in Chatwoot's words.
pub(super) fn email(params: &Params) -> Result<Option<Option<String>>, Refused> {
    if !params.has("email") {
        return Ok(None);
    }
    let Some(text) = params.word("email") else { return Ok(Some(None)) };
    let normal = tieline_core::contacts::email::normalise(&text, "/email");
    normal.map(|email| Some(Some(email.into_owned()))).map_err(|_| invalid("Email Invalid email", "email"))
}

/// The same of a phone number.
pub(super) fn phone(params: &Params) -> Result<Option<Option<String>>, Refused> {
    if !params.has("phone_number") {
        return Ok(None);
    }
    let Some(text) = params.word("phone_number") else { return Ok(Some(None)) };
    match tieline_core::contacts::phone::is_e164(&text) {
        true => Ok(Some(Some(text))),
        false => Err(invalid("Phone number should be in e164 format", "phone_number")),
    }
}

/// 422 about one attribute.
pub(super) fn invalid(text: &str, attribute: &str) -> Refused {
    let body = serde_json::json!({"message": text, "error": text, "attributes": [attribute]});
    Refused::Shaped(http::StatusCode::UNPROCESSABLE_ENTITY, body)
}

/// An error about an address that somebody has, in Chatwoot's words.
pub(super) fn taken(error: Error, attribute: &'static str) -> Refused {
    if error.code != "contact_exists" || error.kind != Kind::Conflict {
        return error.into();
    }
    let name = match attribute {
        "email" => "Email",
        "phone_number" => "Phone number",
        _ => "Identifier",
    };
    invalid(&format!("{name} has already been taken"), attribute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn brackets_make_objects_and_lists() {
        let mut values = Map::new();
        for (name, value) in
            [("a[b]", "1"), ("a[c][d]", "2"), ("l[]", "3"), ("l[]", "4"), ("o[][x]", "5"), ("plain", "6"), ("a", "7")]
        {
            put(&mut values, name, value.into());
        }
        assert_eq!(
            Value::Object(values),
            json!({"a": "7", "l": ["3", "4"], "o": [{"x": "5"}], "plain": "6"}),
            "the last value of a plain name counts"
        );
    }

    #[test]
    fn a_query_takes_lists_in_both_spellings() {
        for query in ["labels[]=a&labels[]=b", "labels=a&labels=b", "labels%5B%5D=a&labels%5B%5D=b"] {
            let params = Params::of_query(Some(query));
            assert_eq!(params.texts("labels"), ["a", "b"], "{query}");
        }
    }

    #[test]
    fn values_are_read_leniently() {
        let Value::Object(values) = json!({"n": "7", "t": "true", "null": "null", "o": "{\"a\":1}", "i": 3}) else {
            unreachable!()
        };
        let params = Params { values, is_json: true, files: Vec::new() };
        assert_eq!((params.number("n"), params.number("i"), params.truth("t")), (Some(7), Some(3), Some(true)));
        assert_eq!((params.text("null"), params.text("i")), (None, Some("3".into())));
        assert_eq!(params.object("o").map(Value::Object), Some(json!({"a": 1})));
        assert!(params.clone().wrapped("webhook").is_ok(), "flat JSON is its own wrapper");
        assert!(Params { is_json: false, ..params }.wrapped("webhook").is_err());
    }
}
