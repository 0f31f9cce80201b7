//! What a scenario left behind, in a form in which two runs through two dialects can be compared: every row of the product's
//! nouns and every event, with ids numbered by their first appearance.

use super::app::App;
use serde_json::Value;
use std::collections::HashMap;
use tieline_core::Error;

/// The tables that hold what a tenant's people and programs see, in an order in which what is named comes before who names it.
const TABLES: [(&str, &str); 10] = [
    ("contacts", "id"),
    ("handles", "kind, match_key"),
    ("conversations", "number"),
    ("messages", "number"),
    ("attachments", "message_id, place"),
    ("tags", "slug"),
    ("conversation_tags", "conversation_id, tag_id"),
    ("timers", "kind, due_at"),
    ("tenant_counters", "tenant_id"),
    ("events", "position"),
];

/// Ids by their hexadecimal digits.
#[derive(Default)]
struct Ids(HashMap<String, usize>);

impl Ids {
    /// The text with every run of 32 hexadecimal digits replaced by the number of that id.
    fn numbered(&mut self, text: &str) -> String {
        let (mut out, mut run) = (String::new(), String::new());
        let mut flush = |run: &mut String, out: &mut String| {
            if run.len() == 32 {
                let next = self.0.len() + 1;
                let number = *self.0.entry(run.clone()).or_insert(next);
                out.push_str(&format!("#{number}"));
            } else {
                out.push_str(run);
            }
            run.clear();
        };
        for c in text.chars() {
            if c.is_ascii_digit() || ('a'..='f').contains(&c) {
                run.push(c);
            } else {
                flush(&mut run, &mut out);
                out.push(c);
            }
        }
        flush(&mut run, &mut out);
        out
    }
}

/// Every row of [`TABLES`] of every tenant, as `table: {column: value}`; causes are left out, because each request has its
/// own id.
pub async fn left_behind(app: &App) -> Vec<String> {
    let mut ids = Ids::default();
    let mut lines = Vec::new();
    for (table, order) in TABLES {
        let columns: Result<Vec<(String, String)>, Error> = app
            .db
            .read(move |read| {
                let sql = format!("select name, lower(type) from pragma_table_info('{table}') order by cid");
                Ok(read.all(&sql, &[], |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?)))?)
            })
            .await;
        let shown: Vec<String> = columns
            .expect("columns")
            .into_iter()
            .filter(|(name, kind)| kind != "bytea" && name != "cause")
            .map(|(name, kind)| match kind.as_str() {
                "uuid" => format!("'{name}', lower(hex({name}))"),
                _ => format!("'{name}', {name}"),
            })
            .collect();
        let sql = format!("select json_object({}) from {table} order by {order}", shown.join(", "));
        let rows: Result<Vec<String>, Error> =
            app.db.read(move |read| Ok(read.all(&sql, &[], |row| row.get::<String>(0))?)).await;
        for row in rows.expect("rows") {
            let row: Value = serde_json::from_str(&row).expect("JSON");
            lines.push(ids.numbered(&format!("{table}: {row}")));
        }
    }
    lines
}
