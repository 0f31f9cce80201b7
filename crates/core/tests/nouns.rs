//! The verbs of the smaller nouns on both engines, with two and more callers at once: the same answers on either.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tieline_core::contacts::{self, Filter, Upsert};
use tieline_core::conversations::channel::Channel;
use tieline_core::ctx::Ctx;
use tieline_core::events::Event;
use tieline_core::fields::validate::{Entity, FieldType};
use tieline_core::imports::{Origin, Taken};
use tieline_core::keys::scopes::Scopes;
use tieline_core::keys::token::{Mode, Prefix, mint};
use tieline_core::page::Page;
use tieline_core::tags::Children;
use tieline_core::tenants::{self, CreateTenant, Plan};
use tieline_core::webhooks::Format;
use tieline_core::{Error, MIGRATIONS, Result, fields, inboxes, keys, tags, teams, users};
use tieline_db::{Config, Db, Tx, params};
use tieline_testkit::clock::VirtualClock;
use tieline_testkit::postgres;

/// Callers of one verb at the same time.
const CALLERS: usize = 12;

fn counted(bytes: &mut [u8]) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    bytes[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    Ok(())
}

/// Runs a verb from many callers at once; the codes of their refusals, sorted, `ok` for the others.
async fn race<O: Send + 'static>(
    db: &Db,
    verb: impl Fn(&mut Tx, usize) -> Result<O> + Clone + Send + 'static,
) -> Vec<&'static str> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (db, verb) = (db.clone(), verb.clone());
            tokio::spawn(async move { db.write(move |tx| verb(tx, caller)).await })
        })
        .collect();
    let mut codes = Vec::new();
    for caller in callers {
        let answer: Result<O> = caller.await.expect("no panic");
        codes.push(answer.map_or_else(|error| error.code, |_| "ok"));
    }
    codes.sort_unstable();
    codes
}

fn one_of(code: &'static str) -> Vec<&'static str> {
    let mut codes = vec![code; CALLERS - 1];
    codes.push("ok");
    codes.sort_unstable();
    codes
}

async fn scenario(db: Db) {
    let make = CreateTenant { slug: "acme".into(), name: "Acme".into(), plan: Plan::default() };
    let tenant = db.write(move |tx| tenants::create(tx, None, &make)).await.expect("a tenant").id;
    let render = |event: &Event| format!("{{\"name\":\"{}\"}}", event.name()).into();
    let ctx = Ctx { random: counted, ..Ctx::system(tenant, render) };

    // Contacts: one address, many callers.
    let at = ctx.clone();
    let codes = race(&db, move |tx, caller| {
        let identity = Upsert {
            email: Some("ana@example.com".into()),
            external_id: Some(format!("x{caller}")),
            ..Upsert::default()
        };
        contacts::create(tx, &at, &contacts::Create { identity, ..Default::default() })
    });
    assert_eq!(codes.await, one_of("contact_exists"));
    let at = ctx.clone();
    let codes = race(&db, move |tx, caller| {
        let identity = Upsert { email: Some(format!("c{caller}@example.com")), ..Upsert::default() };
        contacts::create(tx, &at, &contacts::Create { identity, ..Default::default() })
    });
    assert_eq!(codes.await, vec!["ok"; CALLERS]);
    let filter = Filter { search: Some("C1".into()), ..Filter::default() };
    let found = db.read(move |read| contacts::list(read, tenant, &filter, Page::first(100))).await.expect("a list");
    let made: Vec<_> = found.rows.iter().map(|row| row.id).collect();
    assert_eq!(made.len(), 3, "c1, c10 and c11");
    // Many want one phone; each has it afterwards or is told who has.
    let (at, ids) = (ctx.clone(), made.clone());
    let codes = race(&db, move |tx, caller| {
        let cmd = contacts::Update { phone: Some(Some("+4930123456".into())), ..Default::default() };
        contacts::update(tx, &at, ids[caller % 3], &cmd)
    });
    let codes = codes.await;
    assert_eq!(codes.iter().filter(|code| **code == "ok").count(), CALLERS / 3, "{codes:?}");
    // Everybody merges everybody: one is left, and every id answers with it.
    let (at, ids) = (ctx.clone(), made.clone());
    race(&db, move |tx, caller| contacts::merge(tx, &at, ids[caller % 3], &[ids[(caller + 1) % 3]])).await;
    let ids = made.clone();
    let details = db
        .read(move |read| ids.iter().map(|id| contacts::detail(read, tenant, *id)).collect::<Result<Vec<_>, Error>>());
    let details = details.await.expect("they answer");
    assert!(details.iter().all(|detail| detail == &details[0]), "{details:?}");
    assert_eq!((details[0].merged_from.len(), details[0].handles.len()), (2, 4));
    let (at, id) = (ctx.clone(), details[0].contact.id);
    assert_eq!(race(&db, move |tx, _| contacts::delete(tx, &at, id)).await, one_of("not_found"));

    // Tags and teams: one name, many callers.
    let at = ctx.clone();
    let create = tags::Create { name: "VIP".into(), ..tags::Create::default() };
    assert_eq!(race(&db, move |tx, _| tags::create(tx, &at, &create)).await, one_of("tag_exists"));
    let tag = db.read(move |read| tags::list(read, tenant, Page::first(9))).await.expect("tags").remove(0);
    let at = ctx.clone();
    let update = tags::Update { description: Some(Some("d".into())), ..Default::default() };
    let changed = db.write(move |tx| tags::update(tx, &at, tag.id, &update)).await.expect("changes");
    assert_eq!((changed.description.as_deref(), changed.slug.as_str()), (Some("d"), "vip"));
    // Each of some tags goes below the next at once, and the last below the first: no circle comes of it.
    let mut ring = Vec::new();
    for n in 0..CALLERS {
        let (at, create) = (ctx.clone(), tags::Create { name: format!("ring {n}"), ..Default::default() });
        ring.push(db.write(move |tx| tags::create(tx, &at, &create)).await.expect("a tag").id);
    }
    let (at, of) = (ctx.clone(), ring.clone());
    let codes = race(&db, move |tx, caller| {
        let below = of[(caller + 1) % CALLERS];
        tags::update(tx, &at, of[caller], &tags::Update { parent: Some(Some(below)), ..Default::default() })
    });
    assert!(codes.await.contains(&"validation_error"), "one at least would have closed the ring or made it too deep");
    let tree = db.read(move |read| tags::list(read, tenant, Page::first(100))).await.expect("tags");
    for id in ring {
        let of = |id| tree.iter().find(|tag| tag.id == id).and_then(|tag| tag.parent);
        let line = std::iter::successors(Some(id), |id| of(*id)).take(tags::LEVELS + 1);
        assert!(line.count() <= tags::LEVELS, "{tree:?}");
    }

    // A branch goes at once up to a thousand tags.
    let at = ctx.clone();
    let top = db.write(move |tx| {
        let top = tags::create(tx, &at, &tags::Create { name: "wide".into(), ..Default::default() })?.id;
        for n in 0..tags::BRANCH {
            let name = format!("wide {n}");
            tags::create(tx, &at, &tags::Create { name, parent: Some(top), ..Default::default() })?;
        }
        Ok::<_, Error>(top)
    });
    let top = top.await.expect("a thousand and one");
    for (children, code) in [(Children::Delete, "tag_has_children"), (Children::Lift, "ok")] {
        let at = ctx.clone();
        let done = db.write(move |tx| tags::delete(tx, &at, top, children)).await;
        assert_eq!(done.map_or_else(|error: Error| error.code, |()| "ok"), code);
    }

    let at = ctx.clone();
    assert_eq!(race(&db, move |tx, _| tags::delete(tx, &at, tag.id, Children::Refuse)).await[0], "not_found");

    let at = ctx.clone();
    let codes = race(&db, move |tx, _| {
        let cmd = teams::Create {
            name: "Ops".into(),
            description: None,
            members: vec![],
            is_default: true,
            mode: teams::Mode::Manual,
            capacity: None,
        };
        teams::create(tx, &at, &cmd)
    });
    assert_eq!(codes.await, one_of("team_exists"));
    let at = ctx.clone();
    let codes = race(&db, move |tx, caller| {
        let cmd = teams::Create {
            name: format!("t{caller}"),
            description: None,
            members: vec![],
            is_default: true,
            mode: teams::Mode::Manual,
            capacity: None,
        };
        teams::create(tx, &at, &cmd)
    });
    assert_eq!(codes.await, vec!["ok"; CALLERS]);
    let all = db.read(move |read| teams::list(read, tenant, Page::first(100))).await.expect("teams");
    assert_eq!((all.len(), all.iter().filter(|team| team.is_default).count()), (CALLERS + 1, 1));
    let (at, ids) = (ctx.clone(), all.iter().map(|team| team.id).collect::<Vec<_>>());
    let codes = race(&db, move |tx, caller| {
        let cmd = teams::Update { name: Some("One".into()), ..Default::default() };
        teams::update(tx, &at, ids[caller], &cmd)
    });
    assert_eq!(codes.await, one_of("team_exists"));
    for team in all {
        let at = ctx.clone();
        db.write(move |tx| teams::delete(tx, &at, team.id)).await.expect("is deleted");
    }
    let left = db.read(move |read| tenants::get(read, tenant)).await.expect("the tenant");
    assert_eq!(left.default_team, None);

    // Inboxes, with and without a webhook.
    let at = ctx.clone();
    let hook = inboxes::Hook {
        url: "https://shop.example/hook".into(),
        format: Format::Native,
        header_prefix: "X-Tieline".into(),
        secret: vec![1],
        secret_prefix: "whsec_".into(),
    };
    let create = inboxes::Create { name: "Shop".into(), channel: Channel::Api, hook: Some(hook), ..Default::default() };
    let inbox = db.write(move |tx| inboxes::create(tx, &at, &create)).await.expect("an inbox").inbox;
    let shown = db.read(move |read| inboxes::list(read, tenant, Page::first(9))).await.expect("inboxes");
    assert_eq!(shown, std::slice::from_ref(&inbox));
    let at = ctx.clone();
    let update = inboxes::Update { hook: Some(None), ..Default::default() };
    let without = db.write(move |tx| inboxes::update(tx, &at, inbox.id, &update)).await.expect("changes").inbox;
    assert_eq!(without.webhook, None);
    let at = ctx.clone();
    db.write(move |tx| inboxes::delete(tx, &at, inbox.id)).await.expect("is deleted");

    // Users: one address, and owners who all leave at once.
    let user = |email: String| users::Create {
        access_token_hash: {
            let mut hash = [0; 32];
            counted(&mut hash).expect("bytes");
            hash
        },
        access_token_sealed: vec![1],
        email,
        name: "O".into(),
        role: users::Role::Owner,
        password_hash: None,
    };
    let codes = race(&db, move |tx, _| users::create(tx, tenant, &user("o@example.com".into())));
    assert_eq!(codes.await, one_of("user_exists"));
    let codes = race(&db, move |tx, caller| users::create(tx, tenant, &user(format!("o{caller}@example.com"))));
    assert_eq!(codes.await, vec!["ok"; CALLERS]);
    let owners = db.read(move |read| users::list(read, tenant, Page::first(100))).await.expect("users");
    let leave = users::Update { role: Some(users::Role::Agent), password_hash: Some("h".into()), ..Default::default() };
    let (first, cmd) = (owners[CALLERS].id, leave.clone());
    db.write(move |tx| users::update(tx, tenant, first, &cmd)).await.expect("others are left");
    let codes = race(&db, move |tx, caller| users::update(tx, tenant, owners[caller].id, &leave)).await;
    assert_eq!(codes.iter().filter(|code| **code == "last_owner").count(), 1, "{codes:?}");

    // Custom fields and keys.
    let at = ctx.clone();
    let field = fields::Create {
        entity: Entity::Contact,
        key: "tier".into(),
        name: "Tier".into(),
        field_type: FieldType::Text,
        options: vec![],
    };
    assert_eq!(race(&db, move |tx, _| fields::create(tx, &at, &field)).await, one_of("custom_field_exists"));
    let field = db.read(move |read| fields::list(read, tenant, Page::first(9))).await.expect("fields").remove(0);
    let at = ctx.clone();
    let update = fields::Update { name: Some("T".into()), ..Default::default() };
    db.write(move |tx| fields::update(tx, &at, field.id, &update)).await.expect("changes");
    let at = ctx.clone();
    db.write(move |tx| fields::delete(tx, &at, field.id)).await.expect("is deleted");

    let minted = |seed| mint(Prefix::Sa, Mode::Live, [seed; 32]);
    let all = Scopes::full_access();
    let (digest, prefix) = (minted(1).digest(), minted(1).display_prefix().to_owned());
    let create = keys::CreateKey { name: "k".into(), description: None, digest, prefix, scopes: all, expires_at: None };
    let key = db.write(move |tx| keys::create(tx, tenant, &create)).await.expect("a key");
    let (digest, prefix) = (minted(2).digest(), minted(2).display_prefix().to_owned());
    let rotate = keys::RotateKey { digest, prefix, overlap_us: 0 };
    let next = db.write(move |tx| keys::rotate(tx, tenant, key.id, &all, &rotate)).await.expect("rotates");
    let used = [((tenant, key.id), 5), ((tenant, next.id), 7)];
    db.write(move |tx| keys::note_used(tx, &used)).await.expect("notes");
    let update = keys::UpdateKey { is_active: Some(false), ..Default::default() };
    let off = db.write(move |tx| keys::update(tx, tenant, next.id, &all, &update)).await.expect("changes");
    assert_eq!((off.is_active, off.last_used_at), (false, Some(7)));
    db.write(move |tx| keys::revoke(tx, tenant, next.id)).await.expect("is revoked");
    let left = db.read(move |read| keys::list(read, tenant, Page::first(9))).await.expect("keys");
    assert_eq!((left.len(), left[0].last_used_at), (1, Some(5)));

    let handles = db.read(move |read| {
        read.opt("select count(*) from handles where tenant_id = $1", &params![tenant.0], |row| row.get::<i64>(0))
    });
    let handles = handles.await.expect("a count").expect("a row");
    assert_eq!(handles, 2 + CALLERS as i64 - 3, "one contact with two addresses, and those that were not merged");
    two_people_of_one_phone_come_over(&db, &ctx).await;
    db.close();
}

/// It stays with the one who is here, and the other comes without it.
async fn two_people_of_one_phone_come_over(db: &Db, ctx: &Ctx) {
    let (at, tenant) = (ctx.clone(), ctx.tenant);
    let person = |name: Option<&str>| Upsert {
        email: name.map(|name| format!("{name}@phones.example")),
        phone: Some("+5511912345678".into()),
        ..Default::default()
    };
    let here = contacts::Create { identity: person(Some("ana")), custom_fields: serde_json::Map::new() };
    let ana = db.write(move |tx| contacts::create(tx, &at, &here)).await.expect("a contact").contact.id;
    let import = |(theirs, identity)| contacts::Import {
        theirs,
        identity,
        custom_fields: "{}".into(),
        metadata: "{}".into(),
        is_blocked: false,
        avatar_url: None,
        created_at: 1,
        updated_at: 1,
        addresses: vec![],
    };
    let people = [(1, person(Some("bia"))), (2, person(None)), (3, person(Some("bia")))].map(import);
    let (at, origin) = (ctx.clone(), Origin { tenant, source: "https://desk.example/1".into() });
    let came = db.write(move |tx| contacts::import(tx, &at, &origin, &people)).await.expect("they come");
    let [(bia, Taken::New), (phone, Taken::There), (again, Taken::There)] = came[..] else { panic!("{came:?}") };
    assert_eq!((phone, again), (ana, bia));
    let made = db.read(move |read| contacts::get(read, tenant, bia)).await.expect("is there");
    assert_eq!((made.email.as_deref(), made.phone), (Some("bia@phones.example"), None));
}

fn open(mut config: Config) -> Db {
    config.clock = Arc::new(VirtualClock::new());
    Db::open(config).expect("opens")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smaller_nouns_on_sqlite() {
    let folder = tempfile::tempdir().expect("a folder");
    scenario(open(Config::sqlite(folder.path().join("t.db"), MIGRATIONS))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smaller_nouns_on_postgresql() {
    let database = postgres::Database::create();
    scenario(open(Config::postgres(&database.url, MIGRATIONS))).await;
}
