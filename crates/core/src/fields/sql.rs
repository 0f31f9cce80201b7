//! Statements over `custom_fields`.

use tieline_db::{Many, Ty};

pub static DEFINITIONS_OF: Many = Many::new(
    "select :ord, key, name, type, options from custom_fields where tenant_id = :tenant_id and entity = :entity",
    &[("tenant_id", Ty::Int), ("entity", Ty::Text)],
);
pub const DEFINITIONS: &str =
    "select key, name, type, options from custom_fields where tenant_id = $1 and entity = $2 order by key limit 100";

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select id, number, entity, key, name, type, options, created_at, updated_at, description, display from custom_fields ",
            $rest
        )
    };
}

pub const GET: &str = select!("where tenant_id = $1 and id = $2");
pub const BY_KEY: &str = select!("where tenant_id = $1 and entity = $2 and key = $3");
pub const LIST: &str = select!("where tenant_id = $1 and id < $2 order by id desc limit $3");
pub const COUNT: &str = "select count(*) from custom_fields where tenant_id = $1 and entity = $2";
pub const INSERT: &str = "insert into custom_fields (tenant_id, id, entity, key, name, type, options, created_at, updated_at, number) \
     values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9) on conflict (tenant_id, entity, key) do nothing";
pub const UPDATE: &str =
    "update custom_fields set name = $3, options = $4, updated_at = $5 where tenant_id = $1 and id = $2";
pub const DELETE: &str = "delete from custom_fields where tenant_id = $1 and id = $2";
pub const BY_NUMBER: &str = select!("where tenant_id = $1 and number = $2");
pub const DESCRIBE: &str = "update custom_fields set description = coalesce($3, description), display = coalesce($4, display) \
     where tenant_id = $1 and id = $2";
