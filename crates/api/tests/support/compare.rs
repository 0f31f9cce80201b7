//! What a scenario left behind, in a form in which two runs through two dialects can be compared: every row of the product's
//! nouns and every event, with ids numbered by their first appearance.
#![allow(dead_code)] // no suite needs all of it

use super::app::App;
use serde_json::Value;
use std::collections::HashMap;
use tieline_core::ids::TenantId;
use tieline_core::{Error, tenants};
use tieline_db::catalogue::{self, Column};
use tieline_db::{Read, Row, Ty};

/// The tables that hold what a tenant's people and programs see, in an order in which what is named comes before who names it.
const TABLES: [(&str, &str); 9] = [
    ("contacts", "id"),
    ("handles", "kind, match_key"),
    ("conversations", "number"),
    ("messages", "number"),
    ("attachments", "message_id, place"),
    ("tags", "slug"),
    ("conversation_tags", "conversation_id, tag_id"),
    ("timers", "kind, due_at"),
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

/// The totals of every tenant, then every row of [`TABLES`] of every tenant, as `table: {column: value}`; causes are left out, because each request has its
/// own id.
pub async fn left_behind(app: &App) -> Vec<String> {
    let mut ids = Ids::default();
    let mut lines = Vec::new();
    app.number().await;
    let catalogue: Result<Vec<(String, Vec<Column>)>, Error> = app
        .db
        .read(|read| Ok(catalogue::tables(read)?.into_iter().map(|table| (table.name, table.columns)).collect()))
        .await;
    let catalogue = catalogue.expect("tables");
    let counts: Result<Vec<String>, Error> = app
        .db
        .read(|read| {
            let tenants = read.all("select id from tenants order by id", &[], |row| row.get::<i64>(0))?;
            let line = |id| {
                let counts = format!("{:?}", tenants::counts(read, TenantId(id))?);
                Ok(format!("counts: {}", serde_json::json!({ "tenant_id": id, "counts": counts })))
            };
            tenants.into_iter().map(line).collect()
        })
        .await;
    lines.extend(counts.expect("counts"));
    for (table, order) in TABLES {
        let shown = |column: &Column| column.ty != Ty::Bytes && column.name != "cause";
        let columns: Vec<Column> =
            catalogue.iter().filter(|(of, _)| of == table).flat_map(|(_, all)| all.clone()).collect();
        let columns: Vec<Column> = columns.into_iter().filter(shown).collect();
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let sql = format!("select {} from {table} order by {order}", names.join(", "));
        let value = |row: &Row, at: usize, ty: Ty| -> tieline_db::Result<Value> {
            Ok(match ty {
                Ty::Bool => row.get::<Option<bool>>(at)?.into(),
                Ty::Int => row.get::<Option<i64>>(at)?.into(),
                Ty::Real => row.get::<Option<f64>>(at)?.into(),
                Ty::Uuid => row.get::<Option<uuid::Uuid>>(at)?.map(|id| id.simple().to_string()).into(),
                Ty::Text | Ty::Bytes | Ty::Json => row.get::<Option<String>>(at)?.into(),
            })
        };
        let read = move |read: &mut Read| {
            let object = |row: &Row| -> tieline_db::Result<Value> {
                let members = columns.iter().enumerate();
                members.map(|(at, column)| Ok((column.name.clone(), value(row, at, column.ty)?))).collect()
            };
            Ok(read.all(&sql, &[], object)?)
        };
        let rows: Result<Vec<Value>, Error> = app.db.read(read).await;
        for row in rows.expect("rows") {
            lines.push(ids.numbered(&format!("{table}: {row}")));
        }
    }
    lines
}
