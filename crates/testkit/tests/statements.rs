//! Every statement of the product on both engines: it can be prepared, and it finds its rows by an index.
//!
//! What a plan must not do: read a whole table, or all of a tenant's rows, where those grow with every conversation. SQLite
//! is asked with an empty database, because its planner goes by the statistics that come with the schema, for ever;
//! PostgreSQL with a filled and analysed one, told to avoid sequential scans, so that what remains of them has no index to
//! use, and to plan for any value, as it does for a statement that is prepared once and runs for ever. Nor must a list be
//! sorted whole for one page of it ([`IN_ORDER`]), or a plan be for several processes, to which starting them seems free here.

use std::collections::HashSet;
use tieline_core::MIGRATIONS;
use tieline_db::{Config, Db, Error, Many, Param, Tx};
use tieline_testkit::postgres::Database;

/// As it is written in a `sql.rs`.
enum Statement {
    One(&'static str),
    Many(&'static Many),
}

include!(concat!(env!("OUT_DIR"), "/statements.rs"));

/// Rows of each table on PostgreSQL.
const ROWS: u32 = 3_000;

/// Tables that grow with every conversation, and so are never read whole.
const LARGE: [&str; 19] = [
    "contacts",
    "contact_inboxes",
    "handles",
    "contact_aliases",
    "conversations",
    "conversation_tags",
    "messages",
    "attachments",
    "events",
    "deliveries",
    "attempts",
    "idempotency_keys",
    "timers",
    "audit",
    "request_log",
    "request_bodies",
    "request_counts",
    "request_windows",
    "report_hours",
];

impl Statement {
    fn sqlite(&self) -> &str {
        match self {
            Statement::One(text) => text,
            Statement::Many(many) => many.sqlite(),
        }
    }
    fn postgres(&self) -> &str {
        match self {
            Statement::One(text) => text,
            Statement::Many(many) => many.postgres(),
        }
    }
}

/// The highest `$n` or `?n`.
fn parameters(text: &str) -> usize {
    let numbers = text.split(['$', '?']).skip(1);
    let number = |rest: &str| rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len())].parse().ok();
    numbers.filter_map(number).max().unwrap_or(0)
}

fn write<T: Send + 'static>(db: &Db, work: impl Fn(&mut Tx) -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(db.write(work))
}

/// One way into one table: the lines of a plan, in our words.
#[derive(Debug, PartialEq, Eq)]
struct Access {
    table: String,
    /// Nothing for a whole table.
    index: Option<String>,
    /// The columns by which rows are found in it.
    columns: Vec<String>,
}

/// How a statement runs.
struct Plan {
    accesses: Vec<Access>,
    /// How often rows are put in order, those of an aggregate apart.
    sorts: usize,
}

fn sqlite_plan(db: &Db, statement: &'static Statement) -> Result<Plan, Error> {
    let text = statement.sqlite();
    let lines = write(db, move |tx| {
        let nulls = vec![Param::Null; parameters(text)];
        tx.all(&format!("explain query plan {text}"), &nulls, |row| row.get::<String>(3))
    })?;
    let sorts = lines.iter().filter(|line| line.contains("FOR ORDER BY") || line.contains("TERMS OF ORDER BY")).count();
    Ok(Plan { accesses: lines.iter().filter_map(|line| sqlite_access(line, text)).collect(), sorts })
}

fn sqlite_access(line: &str, text: &str) -> Option<Access> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (how, alias) = (words.first()?, words.get(1)?);
    if !["SCAN", "SEARCH"].contains(how) || alias.starts_with('(') {
        return None;
    }
    let clean = text.replace(['(', ')', ','], " ");
    let all: Vec<&str> = clean.split_whitespace().collect();
    let named = all.windows(2).find(|pair| pair[1] == *alias && LARGE.contains(&pair[0])).map(|pair| pair[0]);
    let index = line.split_once("INDEX ").and_then(|(_, rest)| rest.split_whitespace().next()).map(str::to_owned);
    let index = index.or_else(|| line.contains("PRIMARY KEY").then(|| "primary key".to_owned()));
    let inside = line.split_once(" (").map_or("", |(_, rest)| rest);
    let columns = inside.split(" AND ").map(|part| part.split(['=', '<', '>', ')']).next().unwrap_or(""));
    let columns = columns.filter(|column| !column.is_empty()).map(|column| column.trim_start_matches('(').to_owned());
    Some(Access { table: named.unwrap_or(alias).to_string(), index, columns: columns.collect() })
}

fn postgres_plan(db: &Db, statement: &'static Statement) -> Result<Plan, Error> {
    let text = statement.postgres();
    let lines = write(db, move |tx| {
        tx.execute(&format!("prepare plan as {text}"), &[])?;
        let nulls = vec!["null"; parameters(text)].join(", ");
        let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
        let lines = tx.all(&format!("explain (costs off) execute plan{arguments}"), &[], |row| row.get::<String>(0))?;
        tx.execute("deallocate plan", &[])?;
        Ok(lines)
    })?;
    let mut found: Vec<Access> = Vec::new();
    let nodes = lines.iter().enumerate().filter(|(index, line)| *index == 0 || line.contains("->"));
    let nodes: Vec<&str> = nodes.map(|(_, line)| line.trim_start_matches([' ', '-', '>'])).collect();
    if nodes.iter().any(|node| node.starts_with("Gather")) {
        return Err(Error::Sql("several processes are to run it".into()));
    }
    let is_sort = |node: &str| node.starts_with("Sort") || node.starts_with("Incremental Sort");
    let sorts = nodes.iter().enumerate().filter(|(index, node)| {
        is_sort(node) && !index.checked_sub(1).is_some_and(|before| nodes[before].starts_with("Aggregate"))
    });
    let sorts = sorts.count();
    for line in &lines {
        let line = line.trim_start_matches([' ', '-', '>']);
        let word_after = |what: &str| {
            let rest = line.split_once(what)?.1;
            Some(rest.split_whitespace().next().unwrap_or("").to_owned())
        };
        if line.contains("Scan") && !line.contains("Bitmap Heap") {
            let index = word_after(" using ").or_else(|| word_after("Bitmap Index Scan on "));
            let Some(table) = word_after(" on ") else { continue };
            // Of a bitmap only the index is named; ours begin with their table's name.
            let by_index = || LARGE.iter().rev().find(|name| table.starts_with(&format!("{name}_")));
            let table = match &index {
                Some(index) if *index == table => by_index().map_or(table.clone(), |name| (*name).to_owned()),
                _ => table,
            };
            found.push(Access { table, index, columns: Vec::new() });
        } else if let (Some(condition), Some(last)) = (line.strip_prefix("Index Cond: "), found.last_mut()) {
            let parts = condition.split(" AND ").map(|part| part.trim_start_matches('('));
            last.columns = parts.map(|part| part.split([' ', '(']).next().unwrap_or("").to_owned()).collect();
        }
    }
    Ok(Plan { accesses: found, sorts })
}

/// The tenant's rows of these are bounded by something else, or the statement is one of housekeeping that takes its time.
const BROAD: &[(&str, &str)] = &[
    ("attachments::NEXT_DUE", "one step to the smallest"),
    ("contacts::BY_NAME", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_NAME_DOWN", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_EMAIL", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_EMAIL_DOWN", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_PHONE", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_PHONE_DOWN", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_CREATION", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_CREATION_DOWN", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_CHANGE", "a list in an order of its own, which a person pages through"),
    ("contacts::BY_CHANGE_DOWN", "a list in an order of its own, which a person pages through"),
    ("contacts::COUNT_NAMELESS", "an index of those alone"),
    ("conversations::ASSIGNED", "an index of those that somebody has, which is all that is looked at"),
    ("conversations::COUNTS", "totals of a list of every status by filters that a person chose"),
    ("conversations::QUEUE", "a list with any filters: walks the last changed ones until its page is full"),
    ("conversations::QUEUE_SORTED", "a list in an order of its own, which a person pages through"),
    ("contacts::NUMBERED", "a page by its number passes over the ones before it in the index; a limit says how deep"),
    (
        "contacts::NUMBERED_FROM_OLDEST",
        "a page by its number passes over the ones before it in the index; a limit says how deep",
    ),
    (
        "conversations::NUMBERED",
        "a page by its number passes over the ones before it in the index; a limit says how deep",
    ),
    (
        "conversations::NUMBERED_FROM_OLDEST",
        "a page by its number passes over the ones before it in the index; a limit says how deep",
    ),
    (
        "conversations::NUMBERED_OF_STATUS",
        "a page by its number passes over the ones before it in the index; a limit says how deep",
    ),
    (
        "conversations::NUMBERED_OF_STATUS_FROM_OLDEST",
        "a page by its number passes over the ones before it in the index; a limit says how deep",
    ),
    ("deliveries::ASKED_FOR", "all that persons have asked for and that has not been sent: a few"),
    ("events::LAST_OF_TENANT", "one step to the largest"),
    ("events::LAST_POSITION", "one step to the largest"),
    ("events::PRUNE", "the oldest, as many as its limit says"),
    ("inboxes::HAS_CONVERSATIONS", "stops at the first; asked when a person deletes an inbox"),
    ("reports::NOW", "how the queue stands, counted over what is active; asked by a person"),
    ("reports::NOW_BY_AGENT", "how the queue stands, counted over what is active; asked by a person"),
    ("teams::LEAVE_CONVERSATIONS", "when a person deletes a team"),
    ("bots::LEAVE_CONVERSATIONS", "when a person deletes a bot"),
    ("bots::LOCK_CONVERSATIONS", "when a person deletes a bot"),
    ("users::LEAVE_CONVERSATIONS", "when a person dismisses an agent"),
    ("timers::NEXT", "one step to the smallest"),
];

/// Statements that run all the time, and the index by which each finds what it is about, by its name on SQLite and on
/// PostgreSQL.
const HOT: &[(&str, &str, &str)] = &[
    ("attachments::OF_MESSAGES", "attachments_message", "attachments_message"),
    ("attachments::TAKE_DUE", "attachments_due", "attachments_due"),
    ("contacts::BY_HANDLE", "primary key", "handles_pkey"),
    ("contacts::HANDLES", "handles_contact", "handles_contact"),
    ("conversations::BY_REFERENCE", "conversations_reference", "conversations_reference"),
    ("conversations::GET_MANY", "sqlite_autoindex_conversations_1", "conversations_pkey"),
    ("conversations::LIST", "conversations_updated", "conversations_updated"),
    ("conversations::LIST_OF_AGENT", "conversations_assigned", "conversations_assigned"),
    ("conversations::LIST_OF_CONTACT", "conversations_contact", "conversations_contact"),
    ("conversations::LIST_OF_STATUS", "conversations_status", "conversations_status"),
    ("conversations::QUEUE_OF_AGENT", "conversations_assigned", "conversations_assigned"),
    ("deliveries::DUE", "endpoint_states_due", "endpoint_states_due"),
    ("deliveries::LAST_SEQUENCE", "deliveries_conversation", "deliveries_conversation"),
    ("deliveries::PENDING", "deliveries_pending", "deliveries_pending"),
    ("deliveries::PENDING_MANUAL", "deliveries_manual", "deliveries_manual"),
    ("events::TENANT_AFTER", "events_tenant", "events_tenant"),
    ("messages::BY_EXTERNAL_ID", "messages_external", "messages_external"),
    ("messages::NEWEST_FIRST", "messages_number", "messages_number"),
    ("messages::OLDEST_FIRST", "messages_number", "messages_number"),
    ("deliveries::UNSEEN", "deliveries_pending", "deliveries_pending"),
    ("events::AFTER", "primary key", "events_pkey"),
    ("events::ANY_BEYOND", "primary key", "events_pkey"),
    ("events::LAST_POSITION", "primary key", "events_pkey"),
    ("timers::CLAIM", "primary key", "timers_pkey"),
    ("timers::DUE", "timers_due", "timers_due"),
];

/// Lists that come in the order of an index, whatever is asked of them: their rows are put in order so often at most. Where
/// it is once, that is the page alone, which was found by its ids in the index.
const IN_ORDER: &[(&str, usize)] = &[
    ("audit::LIST", 0),
    ("contacts::LIST", 0),
    ("contacts::NUMBERED", 1),
    ("contacts::NUMBERED_FROM_OLDEST", 1),
    ("conversations::LIST", 0),
    ("conversations::LIST_CREATED", 0),
    ("conversations::LIST_FILTERED", 0),
    ("conversations::LIST_FILTERED_OF_STATUS", 0),
    ("conversations::LIST_OF_AGENT", 0),
    ("conversations::LIST_OF_STATUS", 0),
    ("conversations::NUMBERED", 1),
    ("conversations::NUMBERED_FROM_OLDEST", 1),
    ("conversations::NUMBERED_OF_STATUS", 1),
    ("conversations::NUMBERED_OF_STATUS_FROM_OLDEST", 1),
    ("conversations::QUEUE", 1),
    ("conversations::QUEUE_OF_AGENT", 1),
    ("conversations::QUEUE_OF_STATUS", 1),
    ("deliveries::ANY_ENDED", 0),
    ("deliveries::LOG", 0),
    ("deliveries::LOG_UNSUCCESSFUL", 0),
    ("deliveries::PENDING", 0),
    ("events::TENANT_AFTER", 0),
    ("requests::LIST", 0),
    ("requests::LIST_OF_PRINCIPAL", 0),
];

/// What only runs where transactions overlap: it calls functions of the schema.
const POSTGRESQL: &[&str] = &["events::ADVANCE", "events::SETTLE"];

fn complaints(engine: &str, plan: impl Fn(&'static Statement) -> Result<Plan, Error>) -> Vec<String> {
    let mut complaints = Vec::new();
    let names = BROAD.iter().map(|(name, _)| name).chain(HOT.iter().map(|(name, ..)| name));
    let names = names.chain(IN_ORDER.iter().map(|(name, _)| name));
    for name in names.filter(|name| !ALL.iter().any(|(known, _)| known == *name)) {
        complaints.push(format!("{name} is no statement any more"));
    }
    for (name, statement) in ALL.iter().filter(|(name, _)| engine != "SQLite" || !POSTGRESQL.contains(name)) {
        match plan(statement) {
            Err(error) => complaints.push(format!("{engine}: {name}: {error}")),
            Ok(Plan { sorts, .. }) if IN_ORDER.iter().any(|(list, most)| list == name && sorts > *most) => {
                complaints.push(format!("{engine}: {name} is read whole and sorted"));
            }
            Ok(plan)
                if HOT.iter().any(|(hot, sqlite, postgres)| {
                    hot == name && {
                        let index = if engine == "SQLite" { sqlite } else { postgres };
                        !plan.accesses.iter().any(|access| access.index.as_deref() == Some(index))
                    }
                }) =>
            {
                complaints.push(format!("{engine}: {name} goes another way: {:?}", plan.accesses));
            }
            Ok(_) if BROAD.iter().any(|(broad, _)| broad == name) => {}
            Ok(plan) => {
                for access in plan.accesses.iter().filter(|access| LARGE.contains(&access.table.as_str())) {
                    let narrow = access.columns.iter().any(|column| column != "tenant_id");
                    if !narrow {
                        complaints.push(format!("{engine}: {name}: {access:?}"));
                    }
                }
            }
        }
    }
    complaints
}

/// An empty database: the statistics that the planner goes by come with the schema and never change.
fn sqlite() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().expect("a folder");
    let db = Db::open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).expect("opens");
    (folder, db)
}

/// A filled database whose only connection avoids sequential scans and plans for any value; to it processes cost nothing.
fn postgres() -> (Database, Db) {
    let database = Database::create();
    let settings = "-c%20enable_seqscan%3Doff%20-c%20plan_cache_mode%3Dforce_generic_plan%20-c%20parallel_setup_cost%3D0\
                    %20-c%20parallel_tuple_cost%3D0%20-c%20min_parallel_table_scan_size%3D0\
                    %20-c%20min_parallel_index_scan_size%3D0";
    let mut config = Config::postgres(format!("{}?options={settings}", database.url), MIGRATIONS);
    config.limits.writers = 1;
    let db = Db::open(config).expect("opens");
    write(&db, |tx| {
        let columns = tx.all(
            "select table_name::text, column_name::text, data_type::text, is_nullable::text from information_schema.columns \
             where table_schema = current_schema() and table_name not in ('schema_version', 'numbers')",
            &[],
            |row| Ok((row.get::<String>(0)?, row.get::<String>(1)?, row.get::<String>(2)?, row.get::<String>(3)?)),
        )?;
        let tables: HashSet<&String> = columns.iter().map(|(table, ..)| table).collect();
        for table in tables {
            let of_table = || columns.iter().filter(|column| column.0 == *table);
            let names: Vec<&str> = of_table().map(|column| column.1.as_str()).collect();
            let values: Vec<String> = of_table().map(|(_, name, ty, nullable)| value(table, name, ty, nullable == "YES")).collect();
            let (names, values) = (names.join(", "), values.join(", "));
            tx.execute(
                &format!("insert into {table} ({names}) select {values} from generate_series(1, {ROWS}) g on conflict do nothing"),
                &[],
            )?;
        }
        tx.execute("analyze", &[]).map(drop)
    })
    .expect("fills");
    (database, db)
}

/// What stands in a column of row `g`: alike for what belongs together, rare where a partial index says so.
fn value(table: &str, name: &str, ty: &str, nullable: bool) -> String {
    match (name, ty) {
        ("tenant_id", _) if table == "events" => "1 + g % 100".into(), // few, and the way by position is as short
        ("tenant_id", _) => "1 + g % 3".into(),
        ("status", _) if table == "deliveries" => {
            "case when g % 20 = 0 then 'pending' when g % 4 = 1 then 'failed' else 'succeeded' end".into()
        }
        ("message_id" | "due_at" | "next_due_at" | "merged_into_id" | "previous_id", "bigint" | "uuid") if nullable => {
            if ty == "uuid" {
                format!("case when g % 20 = 0 then md5('{name}' || g)::uuid end")
            } else {
                "case when g % 20 = 0 then g * 1000 end".into()
            }
        }
        ("conversation_id", _) => "md5('conversation' || g / 5)::uuid".into(),
        ("endpoint_id", _) if table != "endpoint_states" => "md5('endpoint' || g % 20)::uuid".into(),
        ("updated_at", _) => format!("g * 7919 % {ROWS}"), // what changed together does not lie together
        (_, "bigint") => "g".into(),
        (_, "boolean") => "g % 20 = 0".into(),
        (_, "uuid") => format!("md5('{name}' || g)::uuid"),
        (_, "bytea") => format!("decode(md5('{name}' || g), 'hex')"),
        (
            "status" | "type" | "kind" | "channel" | "direction" | "event_type" | "state" | "entity" | "role"
            | "format",
            _,
        ) => {
            format!("'{name}' || g % 5")
        }
        _ => format!("'{name}' || g"),
    }
}

#[test]
fn every_statement_runs_on_both_engines_and_finds_its_rows_by_an_index() {
    assert!(ALL.len() > 200, "{} statements found", ALL.len());
    let (_folder, small) = sqlite();
    let (_database, large) = postgres();
    let mut said = complaints("SQLite", |statement| sqlite_plan(&small, statement));
    said.extend(complaints("PostgreSQL", |statement| postgres_plan(&large, statement)));
    assert!(said.is_empty(), "{} complaints:\n{}", said.len(), said.join("\n"));
}
