//! The short notation of shapes, and JSON schemas made from it.
//!
//! `members` is `name: type, other?: type`; a `?` says that it may be absent. A type is one of the words of [`plain`], the name
//! of a shape, a `'word'`, `[type]`, `{members}`, or several of them with `|` between, `null` among them.

use serde_json::{Map, Value, json};

/// What is left to read.
struct Reader<'a>(&'a str);

/// The schema of an object with these members.
pub(super) fn object(members: &str) -> Value {
    Reader(members).members()
}

/// The schema of a type.
pub(super) fn schema(text: &str) -> Value {
    Reader(text).schema()
}

/// The members of an object: name, whether it must be there, schema.
pub(super) fn members(text: &str) -> Vec<(String, bool, Value)> {
    Reader(text).list()
}

/// Words that are no names of shapes.
fn plain(word: &str) -> Option<Value> {
    Some(match word {
        "int" => json!({"type": "integer", "format": "int64"}),
        "num" => json!({"type": "number"}),
        "text" => json!({"type": "string"}),
        "bool" => json!({"type": "boolean"}),
        "iso" => json!({"type": "string", "format": "date-time"}),
        "file" => json!({"type": "string", "format": "binary"}),
        "object" => json!({"type": "object"}),
        "any" => json!({"type": ["object", "array", "string", "number", "boolean", "null"]}),
        "null" => json!({"type": "null"}),
        _ => return None,
    })
}

impl<'a> Reader<'a> {
    /// Goes past `mark` if it is next.
    fn skip(&mut self, mark: char) -> bool {
        let rest = self.0.trim_start();
        self.0 = rest.strip_prefix(mark).unwrap_or(rest);
        self.0.len() < rest.len()
    }

    /// Everything up to one of these marks, or to the end.
    fn until(&mut self, marks: &[char]) -> &'a str {
        let (word, rest) = self.0.split_at(self.0.find(marks).unwrap_or(self.0.len()));
        self.0 = rest;
        word.trim()
    }

    fn list(&mut self) -> Vec<(String, bool, Value)> {
        let mut found = Vec::new();
        while !self.0.trim_start().is_empty() && !self.0.trim_start().starts_with('}') {
            let name = self.until(&[':']).to_owned();
            self.skip(':');
            let schema = self.schema();
            let required = !name.ends_with('?');
            found.push((name.trim_end_matches('?').to_owned(), required, schema));
            self.skip(',');
        }
        found
    }

    fn members(&mut self) -> Value {
        let list = self.list();
        let required: Vec<&str> = list.iter().filter(|(_, required, _)| *required).map(|(name, ..)| &**name).collect();
        let mut object = json!({"type": "object"});
        if !required.is_empty() {
            object["required"] = json!(required);
        }
        let properties: Map<String, Value> =
            list.iter().map(|(name, _, schema)| (name.clone(), schema.clone())).collect();
        if !properties.is_empty() {
            object["properties"] = properties.into();
        }
        object
    }

    fn schema(&mut self) -> Value {
        let (mut choices, mut words, mut is_nullable) = (Vec::new(), Vec::new(), false);
        loop {
            if self.skip('{') {
                choices.push(self.members());
                self.skip('}');
            } else if self.skip('[') {
                choices.push(json!({"type": "array", "items": self.schema()}));
                self.skip(']');
            } else if self.skip('\'') {
                words.push(self.until(&['\'']));
                self.skip('\'');
            } else {
                match self.until(&['|', ',', ']', '}']) {
                    "null" => is_nullable = true,
                    word => choices.push(plain(word).unwrap_or_else(|| reference(word))),
                }
            }
            if !self.skip('|') {
                return one_of(choices, &words, is_nullable);
            }
        }
    }
}

fn reference(shape: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape}")})
}

fn one_of(mut choices: Vec<Value>, words: &[&str], is_nullable: bool) -> Value {
    if !words.is_empty() {
        choices.push(json!({"type": "string", "enum": words}));
    }
    if let ([only], true) = (choices.as_mut_slice(), is_nullable)
        && let Some(kind) = only.get("type").cloned()
    {
        only["type"] = json!([kind, "null"]);
        if let Some(words) = only.get_mut("enum").and_then(Value::as_array_mut) {
            words.push(Value::Null);
        }
        return choices.remove(0);
    }
    if is_nullable {
        choices.extend(plain("null"));
    }
    if choices.len() == 1 { choices.remove(0) } else { json!({"anyOf": choices}) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_type_is_read() {
        let integer = json!({"type": "integer", "format": "int64"});
        for (text, wanted) in [
            ("int", integer.clone()),
            ("text|null", json!({"type": ["string", "null"]})),
            ("'a'|'b'", json!({"type": "string", "enum": ["a", "b"]})),
            ("'a'|null", json!({"type": ["string", "null"], "enum": ["a", null]})),
            ("[Team]", json!({"type": "array", "items": {"$ref": "#/components/schemas/Team"}})),
            ("Team|null", json!({"anyOf": [{"$ref": "#/components/schemas/Team"}, {"type": "null"}]})),
            ("null", json!({"type": "null"})),
            (
                "{a: int, b?: {c: [any]}}",
                json!({"type": "object", "required": ["a"], "properties": {
                    "a": integer,
                    "b": {"type": "object", "required": ["c"], "properties": {"c": {"type": "array", "items": {"type": [
                        "object", "array", "string", "number", "boolean", "null",
                    ]}}}},
                }}),
            ),
        ] {
            assert_eq!(schema(text), wanted, "{text}");
        }
        assert_eq!(members("page?: int, q: text").iter().map(|(_, must, _)| *must).collect::<Vec<_>>(), [false, true]);
    }
}
