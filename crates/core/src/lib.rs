//! The product: types, pure rules, verbs and SQL. Synchronous; one folder per noun.

pub mod assignment;
pub mod attachments;
pub mod audit;
pub mod automations;
pub mod bots;
pub mod contact_inboxes;
pub mod contacts;
pub mod conversations;
pub mod ctx;
pub mod deliveries;
pub mod error;
pub mod events;
pub mod fields;
pub mod idempotency;
pub mod ids;
pub mod imports;
pub mod inboxes;
pub mod installation;
pub mod keys;
pub mod limits;
pub mod messages;
pub mod metadata;
pub mod page;
pub mod passwords;
pub mod reports;
pub mod requests;
pub mod secrets;
pub mod snippets;
pub mod surveys;
pub mod tags;
pub mod teams;
pub mod tenants;
pub mod time;
pub mod timers;
pub mod users;
pub mod webhooks;

use tieline_db::Migration;

/// The schema, step by step.
pub static MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "core", sql: include_str!("../migrations/0001_core.sql") },
    Migration { version: 2, name: "api inbox", sql: include_str!("../migrations/0002_api_inbox.sql") },
    Migration { version: 3, name: "assignment", sql: include_str!("../migrations/0003_assignment.sql") },
    Migration { version: 4, name: "audit and lists", sql: include_str!("../migrations/0004_audit_and_lists.sql") },
    Migration { version: 5, name: "tag types", sql: include_str!("../migrations/0005_tag_types.sql") },
    Migration { version: 6, name: "tag trees", sql: include_str!("../migrations/0006_tag_trees.sql") },
];

pub use error::{Error, FieldError, Kind, Result};
