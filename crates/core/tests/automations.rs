//! Rules: what their conditions mean, as a table; and how they act on both engines: once for each event, whatever breaks.

use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::automations::condition::{Facts, meets};
use tieline_core::automations::rule::{self, Trigger};
use tieline_core::automations::{self, Automation, Create, Known, Skip, Update, Work};
use tieline_core::contacts::Upsert;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{
    self, Append, AppendVerb, Conversation, Customer, Priority, StartOutbound, StartOutboundVerb,
};
use tieline_core::ctx::Ctx;
use tieline_core::events::{Event, feed, numbering};
use tieline_core::idempotency::Reply;
use tieline_core::ids::{AutomationId, ConversationId, TeamId};
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{self, Message, NewMessage, Order};
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::{Error, MIGRATIONS};
use tieline_db::{Config, Db, Read, Tx, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

/// As much of the native shape as rules read.
fn render(event: &Event) -> tieline_core::events::Frozen {
    let data = {
        match event {
            Event::MessageReceived { message, .. } | Event::MessageSent { message, .. } => {
                json!({"message": {"id": message.id.to_string()}}).to_string()
            }
            Event::ConversationUpdated { changes, .. } => {
                let changes: Map<String, Value> = changes
                    .iter()
                    .map(|change| (change.field.to_owned(), json!({"from": change.from, "to": change.to})))
                    .collect();
                json!({"changes": changes}).to_string()
            }
            _ => "{}".into(),
        }
    };
    data.into()
}

/// Bytes that no inbox had before.
fn counted(bytes: &mut [u8]) -> Result<(), Error> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed).to_le_bytes();
    bytes.iter_mut().zip(number.iter().cycle()).for_each(|(byte, digit)| *byte = *digit);
    Ok(())
}

fn text(direction: Direction, text: &str) -> NewMessage {
    NewMessage {
        direction,
        author: Default::default(),
        text: text.into(),
        html: None,
        content: None,
        external_id: None,
        sent_at: None,
        attachments: Default::default(),
    }
}

struct Desk {
    db: Db,
    ctx: Ctx,
    clock: Arc<VirtualClock>,
}

impl Desk {
    async fn open(mut config: Config) -> Desk {
        let clock = Arc::new(VirtualClock::new());
        config.clock = clock.clone();
        config.seed = Some(1);
        let db = Db::open(config).expect("opens");
        let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
        let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
        Desk { db, ctx: Ctx { random: counted, ..Ctx::system(tenant, render) }, clock }
    }
    /// A conversation in which the customer has written, a millisecond later: ids of one instant have no order between
    /// writers.
    async fn start(&self, words: &str) -> Conversation {
        self.clock.advance_us(1_000);
        let command = StartOutbound {
            ctx: self.ctx.clone(),
            once: None,
            external_reference: None,
            contact: Customer::Found(Upsert { external_id: Some("u1".into()), ..Upsert::default() }),
            subject: None,
            channel: Channel::Api,
            message: Some(text(Direction::Inbound, words)),
            tags: Vec::new(),
            custom_fields: Map::new(),
            metadata: "{}".into(),
        };
        match self.db.submit::<StartOutboundVerb>(command).await.expect("starts") {
            Reply::Done(started) => started.conversation,
            Reply::Replayed(_) => panic!("nothing was asked before"),
        }
    }
    async fn hear(&self, to: ConversationId, words: &str) {
        let message = text(Direction::Inbound, words);
        let command = Append { ctx: self.ctx.clone(), once: None, conversation: to, message };
        self.db.submit::<AppendVerb>(command).await.expect("appends");
    }
    async fn rule(&self, name: &str, trigger: Trigger, branches: Value) -> AutomationId {
        let branches = rule::read(&branches, "").expect("branches");
        let command =
            Create { name: name.into(), description: None, trigger, branches, spelling: None, is_active: true };
        let ctx = self.ctx.clone();
        self.db.write(move |tx| automations::create(tx, &ctx, &command)).await.expect("a rule").id
    }
    async fn stored(&self, id: AutomationId) -> Automation {
        let tenant = self.ctx.tenant;
        self.db.read(move |read| automations::get(read, tenant, id)).await.expect("there")
    }
    async fn now(&self, id: ConversationId) -> Conversation {
        let tenant = self.ctx.tenant;
        self.db.read(move |read| conversations::get(read, tenant, id)).await.expect("there")
    }
    async fn said(&self, id: ConversationId) -> Vec<String> {
        let tenant = self.ctx.tenant;
        let list = self.db.read(move |read| messages::list(read, tenant, id, Order::OldestFirst, None, 100));
        list.await.expect("messages").into_iter().map(|message| message.text).collect()
    }
    /// What there is to react to, as a node that knows nothing sees it.
    async fn look(&self) -> Option<Work> {
        while self.db.read(numbering::is_any_beyond).await.expect("looks") {
            self.db.write(numbering::advance).await.expect("numbers");
        }
        self.db.read(|read| automations::look(read, Known::default())).await.expect("looks").work
    }
    /// The codes of refusals; true when this node did it.
    async fn react(&self, work: &Work, skip: &[Skip]) -> Result<bool, (Option<usize>, &'static str)> {
        let (work, skip) = (work.clone(), skip.to_vec());
        let done = self.db.write(move |tx| automations::react(tx, render, &work, &skip)).await;
        done.map_err(|failed| (failed.at.map(|(_, place)| place), failed.error.code))
    }
}

fn tagging(tag: &str) -> Value {
    json!([{"actions": [{"type": "add_tag", "tag": tag}]}])
}

async fn scenario(config: Config) {
    let desk = Desk::open(config).await;
    let early = desk.start("before any rule").await;
    assert!(desk.look().await.is_none(), "no rule, nothing to do");

    let refund = desk
        .rule(
            "Refunds",
            Trigger::MessageReceived,
            json!([
                {"conditions": {"all": [{"field": "message.body", "operator": "contains", "value": "refund"}]},
                 "actions": [{"type": "add_tag", "tag": "Refund"}, {"type": "set_priority", "priority": "high"},
                             {"type": "add_note", "text": "Look at the order"}, {"type": "send_message", "text": "One moment"}]},
                {"actions": [{"type": "add_tag", "tag": "other"}]},
            ]),
        )
        .await;
    assert!(desk.look().await.is_none(), "what happened before a rule starts none");

    let v = desk.start("I want a REFUND").await;
    let work = desk.look().await.expect("work");
    // A node that dies inside the transaction has done nothing, and the next one does it all.
    let doomed = work.clone();
    let died: Result<bool, automations::Failed> = desk
        .db
        .write(move |tx| {
            automations::react(tx, render, &doomed, &[])?;
            Err(Error::internal("killed").into())
        })
        .await;
    assert!(died.is_err());
    assert_eq!(desk.said(v.id).await, ["I want a REFUND"]);
    assert_eq!(desk.react(&work, &[]).await, Ok(true));
    assert_eq!(desk.react(&work, &[]).await, Ok(false), "another node was first");
    assert_eq!(desk.said(v.id).await, ["I want a REFUND", "Look at the order", "One moment"]);
    let after = desk.now(v.id).await;
    assert_eq!((after.tags.as_slice(), after.priority), (&["refund".to_owned()][..], Some(Priority::High)));
    assert!(after.first_reply_at.is_none() && after.waiting_since.is_some(), "a rule's message is no reply of ours");
    assert!(desk.look().await.is_none(), "what a rule does starts no rule, and is done once");
    assert_eq!(desk.now(early.id).await.tags, Vec::<String>::new());
    let stored = desk.stored(refund).await;
    assert_eq!((stored.run_count, stored.last_run_at.is_some(), stored.last_error), (1, true, None));
    desk.hear(v.id, "thanks").await;
    let work = desk.look().await.expect("work");
    assert_eq!(desk.react(&work, &[]).await, Ok(true));
    assert_eq!(desk.now(v.id).await.tags, ["other", "refund"], "the second branch");

    // A failing action: nothing of the transaction happens; left out, the others do, and the rule says why.
    let gone = json!([{"actions": [
        {"type": "add_tag", "tag": "tried"}, {"type": "set_status", "status": "archived"},
        {"type": "send_message", "text": "to an archived one"}, {"type": "set_status", "status": "archived"},
    ]}]);
    let failing = desk.rule("Failing", Trigger::ConversationUpdated, gone).await;
    let (ctx, id) = (desk.ctx.clone(), v.id);
    let urgent = conversations::Amend { priority: Some(Some(Priority::Urgent)), ..Default::default() };
    desk.db.write(move |tx| conversations::amend(tx, &ctx, id, &urgent)).await.expect("changes");
    let work = desk.look().await.expect("work");
    assert_eq!(desk.react(&work, &[]).await, Err((Some(2), "conversation_archived")));
    assert_eq!(desk.now(v.id).await.status, Status::Active);
    let skip = [Skip { rule: failing, action: Some(2), why: "it is archived".into() }];
    assert_eq!(desk.react(&work, &skip).await, Ok(true));
    let after = desk.now(v.id).await;
    assert_eq!((after.status, after.tags.contains(&"tried".to_owned())), (Status::Archived, true));
    let stored = desk.stored(failing).await;
    assert_eq!((stored.run_count, stored.last_error.as_deref()), (1, Some("it is archived")));
    assert!(desk.look().await.is_none());

    // Switched off and on again: what happened between starts nothing.
    let switch = async |is_active: bool| {
        let ctx = desk.ctx.clone();
        let command = Update { is_active: Some(is_active), ..Update::default() };
        desk.db.write(move |tx| automations::update(tx, &ctx, refund, &command)).await.expect("switches")
    };
    switch(false).await;
    let quiet = desk.start("refund while it is off").await;
    switch(true).await;
    assert!(desk.look().await.is_none());
    assert_eq!(desk.now(quiet.id).await.tags, Vec::<String>::new());

    // Two rules of one event act in the order of their age, the second on what the first has left.
    desk.rule("First", Trigger::ConversationCreated, tagging("first")).await;
    let second = json!([{"conditions": {"all": [{"field": "conversation.tags", "operator": "equals", "value": "first"}]},
                         "actions": [{"type": "add_tag", "tag": "second"}]}]);
    desk.rule("Second", Trigger::ConversationCreated, second).await;
    let v = desk.start("hello").await;
    let work = desk.look().await.expect("work");
    assert_eq!(desk.react(&work, &[]).await, Ok(true));
    assert_eq!(desk.now(v.id).await.tags, ["first", "other", "second"]);

    // Refused: somebody else's team. Every event has said who did it.
    let strange = rule::read(
        &json!([{"actions": [{"type": "assign_team", "teamId": TeamId::from_uuid(v.id.0).to_string()}]}]),
        "",
    );
    let strange = Create {
        name: "x".into(),
        description: None,
        trigger: Trigger::MessageSent,
        branches: strange.expect("branches"),
        spelling: None,
        is_active: true,
    };
    let ctx = desk.ctx.clone();
    let error = desk.db.write(move |tx| automations::create(tx, &ctx, &strange)).await.expect_err("refused");
    assert_eq!(error.fields[0].pointer, "/branches/0/actions/0/teamId");
    let tenant = desk.ctx.tenant;
    let log = desk.db.read(move |read| feed::of_tenant(read, tenant, 0, 1000)).await.expect("the log");
    let by_rules: Vec<_> = log.iter().filter(|event| event.cause.is_some()).collect();
    assert!(by_rules.iter().all(|event| event.actor.contains("\"type\":\"automation\"")));
    let cause = by_rules[0].cause.as_deref().expect("a cause");
    assert_eq!(cause, format!("{{\"type\":\"automation\",\"id\":\"{refund}\"}}"));
    desk.db.close();
}

#[tokio::test]
async fn rules_act_once_for_each_event_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    scenario(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await;
}

#[tokio::test]
async fn rules_act_once_for_each_event_on_postgresql() {
    let database = postgres::Database::create();
    scenario(Config::postgres(&database.url, MIGRATIONS)).await;
}

/// What is said in a merged conversation goes to its primary: that one is held with the others, in their order.
#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_primaries_in_the_order_of_all() {
    let database = postgres::Database::create();
    let desk = Desk::open(Config::postgres(&database.url, MIGRATIONS)).await;
    let says = json!([{"actions": [{"type": "send_message", "text": "One moment"}]}]);
    desk.rule("Answer", Trigger::MessageReceived, says).await;
    let primary = desk.start("first").await.id;
    let work = desk.look().await.expect("work");
    assert_eq!(desk.react(&work, &[]).await, Ok(true));
    let (secondary, last) = (desk.start("second").await.id, desk.start("third").await.id);
    let (ctx, merge) = (desk.ctx.clone(), conversations::Merge { conversation: secondary, into: primary });
    desk.db.write(move |tx| conversations::merge(tx, &ctx, &merge)).await.expect("merges");
    let work = desk.look().await.expect("work");

    let [one, other] = [(), ()].map(|()| Db::open(Config::postgres(&database.url, MIGRATIONS)).expect("opens"));
    let (is_held, held) = std::sync::mpsc::channel();
    let (leave, may_leave) = std::sync::mpsc::channel::<()>();
    let may_leave = std::sync::Mutex::new(may_leave);
    let holding = tokio::spawn(async move {
        let hold = move |tx: &mut Tx| {
            tx.opt("select 1 from conversations where id = $1 for update", &params![primary.0], |_| Ok(()))?;
            is_held.send(()).expect("is awaited");
            may_leave.lock().expect("whole").recv().expect("is told");
            Ok::<_, Error>(())
        };
        one.write(hold).await
    });
    tokio::task::spawn_blocking(move || held.recv().expect("is held")).await.expect("is held");
    let reacting = async {
        assert_eq!(desk.react(&work, &[]).await, Ok(true));
    };
    let looking = async {
        const WAITING: &str = "select 1 from pg_stat_activity where datname = current_database() \
                               and wait_event_type = 'Lock' limit 1";
        let waits = |read: &mut Read| Ok::<_, Error>(read.opt(WAITING, &[], |_| Ok(()))?.is_some());
        while !other.read(waits).await.expect("looks") {}
        let free = "select 1 from conversations where id = $1 for update skip locked";
        let is_free = move |tx: &mut Tx| Ok::<_, Error>(tx.opt(free, &params![last.0], |_| Ok(()))?.is_some());
        let is_free = other.write(is_free).await.expect("looks");
        leave.send(()).expect("is there");
        assert!(is_free, "the primary comes first");
    };
    tokio::join!(reacting, looking);
    holding.await.expect("ends").expect("held");
    assert_eq!(desk.said(primary).await.iter().filter(|text| *text == "One moment").count(), 2);
}

/// What a message and its conversation hold, for the table below.
async fn example() -> (Conversation, Message) {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk::open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS)).await;
    let id = desk.start("Where is my Order 7?").await.id;
    let (ctx, tenant) = (desk.ctx.clone(), desk.ctx.tenant);
    let amend = conversations::Amend {
        priority: Some(Some(Priority::High)),
        labels: Some(vec!["vip".into(), "late".into()]),
        custom_fields: Some(r#"{"seats":12,"due":"2020-01-02","kinds":["a","b"],"none":null}"#.into()),
        ..Default::default()
    };
    desk.db.write(move |tx| conversations::amend(tx, &ctx, id, &amend)).await.expect("amends");
    let list = desk.db.read(move |read| messages::list(read, tenant, id, Order::OldestFirst, None, 1));
    let message = list.await.expect("messages").remove(0);
    let mut v = desk.now(id).await;
    v.contact.phone = Some("+5511987654321".into());
    v.contact.name = "Ana".into();
    (v, message)
}

#[tokio::test]
async fn conditions_mean_what_they_say() {
    let (mut v, message) = example().await;
    let changes = json!({"status": {"from": "snoozed", "to": "active"}, "priority": {"from": null, "to": "high"}});
    let inbox = v.inbox.to_string();
    let status = "conversation.status";
    for (field, operator, value, met) in [
        ("message.body", "contains", json!("order"), true),
        ("message.body", "contains", json!(["refund", "ORDER"]), true),
        ("message.body", "not_contains", json!(["refund", "order"]), false),
        ("message.body", "equals", json!("order"), false),
        ("message.body", "starts_with", json!("where"), true),
        ("message.body", "ends_with", json!("7?"), true),
        ("message.direction", "equals", json!("inbound"), true),
        ("message.direction", "not_equals", json!("inbound"), false),
        (status, "equals", json!("active"), true),
        (status, "equals", json!("open"), true),
        (status, "equals", json!("pending"), false),
        (status, "equals", json!(["done", "archived"]), false),
        (status, "changed", json!({"from": ["snoozed"], "to": ["open"]}), true),
        (status, "changed", json!({"from": ["done"], "to": []}), false),
        (status, "changed", json!({}), true),
        ("conversation.priority", "changed", json!({"to": ["high"]}), true),
        ("conversation.priority", "changed", json!({"from": ["low"]}), false),
        ("conversation.assignedTeamId", "changed", json!({}), false),
        ("conversation.priority", "equals", json!("high"), true),
        ("conversation.tags", "equals", json!("vip"), true),
        ("conversation.tags", "not_equals", json!("vip"), false),
        ("conversation.tags", "is_empty", json!(null), false),
        ("conversation.inboxId", "equals", json!(inbox), true),
        ("conversation.channel", "equals", json!("api"), true),
        ("conversation.assignedTeamId", "is_empty", json!(null), true),
        ("conversation.assignedAgentId", "is_not_empty", json!(null), false),
        ("conversation.subject", "not_equals", json!("x"), true),
        ("conversation.subject", "not_contains", json!("x"), true),
        ("conversation.subject", "equals", json!("x"), false),
        ("conversation.customFields.seats", "greater_than", json!(9), true),
        ("conversation.customFields.seats", "less_than", json!("9"), false),
        ("conversation.customFields.due", "days_before", json!(30), true),
        ("conversation.customFields.kinds", "equals", json!("b"), true),
        ("conversation.customFields.none", "is_empty", json!(null), true),
        ("contact.metadata.city", "greater_than", json!("A"), false),
        ("contact.phone", "equals", json!("5511987654321"), true),
        ("contact.phone", "starts_with", json!("+55"), true),
        ("contact.name", "equals", json!("ana"), true),
        ("contact.externalId", "equals", json!("u1"), true),
        ("contact.email", "is_empty", json!(null), true),
    ] {
        let condition = json!({"field": field, "operator": operator, "value": value});
        let branch = json!([{"conditions": {"all": [condition]}, "actions": [{"type": "mute"}]}]);
        let branches = rule::read(&branch, "").unwrap_or_else(|wrong| panic!("{wrong:?}"));
        let facts = Facts {
            conversation: &v,
            message: Some(&message),
            changes: changes.as_object().expect("an object"),
            now: v.created_at,
        };
        assert_eq!(meets(&branches[0].conditions, &facts), met, "{condition}");
    }
    // Groups: any of them, each as a whole.
    let part = |tag: &str| json!({"field": "conversation.tags", "operator": "equals", "value": tag});
    let all = |tags: &[&str]| json!({"all": tags.iter().map(|tag| part(tag)).collect::<Vec<_>>()});
    v.is_held = true;
    for (conditions, met) in [
        (all(&["vip", "late"]), true),
        (all(&["vip", "x"]), false),
        (json!({"any": [part("x"), part("vip")]}), true),
        (json!({"any": [all(&["vip", "x"]), all(&["x", "late"])]}), false),
        (json!({"any": [all(&["vip", "x"]), all(&["vip", "late"])]}), true),
        (json!({"all": []}), true),
        (json!({"all": [{"field": status, "operator": "equals", "value": "pending"}]}), true),
        (json!({"all": [{"field": status, "operator": "equals", "value": "open"}]}), false),
    ] {
        let branch = json!([{"conditions": conditions, "actions": [{"type": "mute"}]}]);
        let branches = rule::read(&branch, "").expect("branches");
        let none = Map::new();
        let facts = Facts { conversation: &v, message: None, changes: &none, now: 0 };
        assert_eq!(meets(&branches[0].conditions, &facts), met, "{conditions}");
    }
}
