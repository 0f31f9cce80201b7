//! Members that requests of several dialects have: how they are read, and their limits.

use crate::http::fields::{Field, Patch, Refusal};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use tieline_core::contacts::phone::{self, Country};
use tieline_core::error::FieldError;
use tieline_core::fields::validate::FIELDS_LIMIT;

/// Longest display name of a contact, characters.
pub(crate) const NAME_LIMIT: usize = 200;
/// Longest id of an integrator's, characters.
pub(crate) const EXTERNAL_ID_LIMIT: usize = 255;

/// An email address, as contacts are found by it.
pub(crate) fn email(text: Cow<str>) -> Result<String, Refusal> {
    tieline_core::contacts::email::normalise(&text, "").map(Cow::into_owned).map_err(refusal)
}

/// A phone number, E.164 where it parses; `country` is where one without a country code is dialled.
pub(crate) fn phone(text: Cow<str>, country: Country) -> Result<String, Refusal> {
    phone::normalise(&text, country, "").map(Cow::into_owned).map_err(refusal)
}

/// A merge-patch member in the words of core: none keeps, none inside clears.
pub(crate) fn nullable<T>(patch: Patch<T>) -> Option<Option<T>> {
    match patch {
        Patch::Keep => None,
        Patch::Clear => Some(None),
        Patch::Set(value) => Some(Some(value)),
    }
}

/// A refusal of a core rule, in the words of the reader of fields.
pub(crate) fn refusal(error: FieldError) -> Refusal {
    let sentence = error.message.trim_end_matches('.').to_owned();
    Refusal::new(error.code, format!("is not accepted: {sentence}"))
}

/// A name of 1 to `most` characters, without white space around it.
pub(crate) fn name<'o>(field: Field<'o, Cow<'_, str>>, most: usize) -> Field<'o, String> {
    field.trimmed().chars(1..=most).owned()
}

/// The values of custom fields as sent; none when missing or null.
pub(crate) fn custom_fields(field: Field<'_, &RawValue>) -> serde_json::Map<String, Value> {
    match field.object(FIELDS_LIMIT).tree().optional() {
        Some(Value::Object(values)) => values,
        _ => Default::default(),
    }
}
