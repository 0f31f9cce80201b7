//! Bodies of Chatwoot's format, byte by byte, and that a state that was frozen reads back as it was.

use serde_json::{Value, json};
use tieline_core::attachments::{Attachment, State};
use tieline_core::contact_inboxes::ContactInbox;
use tieline_core::contacts::Contact;
use tieline_core::conversations::channel::Channel;
use tieline_core::conversations::status::Status;
use tieline_core::conversations::{Conversation, Priority};
use tieline_core::events::Event;
use tieline_core::ids::{EventId, Id};
use tieline_core::inboxes::Inbox;
use tieline_core::messages::direction::{AuthorType, Direction};
use tieline_core::messages::status::DeliveryStatus;
use tieline_core::messages::{Content, Message};
use tieline_wire::chatwoot::state;
use tieline_wire::chatwoot::webhook::{self, Around, Body, Change, Sender, Telling};
use uuid::Uuid;

const AT: i64 = 1_781_693_928_123_456;

fn id<N>(number: u128) -> Id<N> {
    Id::from_uuid(Uuid::from_u128(number))
}

fn contact() -> Contact {
    Contact {
        id: id(1),
        number: 41,
        name: "Ana".into(),
        email: None,
        phone: Some("+5511987654321".into()),
        external_id: Some("5511987654321@s.whatsapp.net".into()),
        custom_fields: r#"{"vip":true}"#.into(),
        metadata: r#"{"city":"São Paulo"}"#.into(),
        is_blocked: false,
        avatar_url: Some("https://pps.example/ana.jpg".into()),
        created_at: AT - 9_000_000,
        updated_at: AT - 8_000_000,
    }
}

fn inbox() -> Inbox {
    Inbox {
        id: id(2),
        number: 7,
        name: "WhatsApp".into(),
        channel: Channel::Api,
        identifier: "0123456789abcdef0123456789abcdef".into(),
        team: None,
        webhook: Some((id(3), "https://bridge.example/hook".into())),
        is_identity_required: false,
        is_single_conversation: true,
        settings: r#"{"greeting_enabled":true}"#.into(),
        identity_key: None,
        is_auto_assigned: false,
        capacity: None,
        created_at: AT - 9_000_000,
        updated_at: AT - 8_000_000,
    }
}

fn conversation() -> Conversation {
    Conversation {
        id: id(4),
        number: 12,
        inbox: id(2),
        contact: contact(),
        channel: Channel::Api,
        subject: None,
        status: Status::Snoozed,
        engagement: None,
        external_reference: None,
        team: None,
        agent: None,
        bot: None,
        tags: vec!["vip".into()],
        custom_fields: r#"{"order":"7"}"#.into(),
        metadata: "{}".into(),
        snoozed_until: Some(AT + 3_600_000_000),
        merged_into: None,
        reopen_count: 0,
        event_sequence: 0,
        message_count: 0,
        last_message_at: Some(AT),
        last_contact_message_at: Some(AT - 1_000_000),
        created_at: AT - 7_000_000,
        updated_at: AT,
        done_at: None,
        archived_at: None,
        previous: None,
        source_id: Some("5511987654321".into()),
        priority: Some(Priority::High),
        is_held: false,
        waiting_since: None,
        first_reply_at: Some(AT),
        contact_seen_at: None,
        agent_seen_at: Some(AT - 500_000),
    }
}

fn message() -> Message {
    Message {
        id: id(5),
        number: 900,
        conversation: id(4),
        direction: Direction::Outbound,
        author_type: AuthorType::Ai,
        author_id: None,
        author_name: Some("Helper".into()),
        text: "line\\\n*bold*\n".into(),
        html: None,
        content: Some(Content { kind: "text".into(), attributes: r#"{"in_reply_to":899}"#.into() }),
        external_id: Some("WAID:3EB0".into()),
        delivery_status: Some(DeliveryStatus::Queued),
        attachments: vec![Attachment {
            id: id(6),
            name: "cat.png".into(),
            content_type: "image/png".into(),
            size: Some(68),
            state: State::Stored,
            error: None,
            url: Some("https://hub.example/files/6".into()),
        }],
        sent_at: AT,
        created_at: AT,
        updated_at: AT,
    }
}

fn address() -> ContactInbox {
    ContactInbox {
        inbox: id(2),
        source_id: "5511987654321".into(),
        number: 55,
        contact: id(1),
        is_verified: false,
        created_at: AT - 9_000_000,
        updated_at: AT - 9_000_000,
    }
}

fn around<'a>(v: &'a Conversation, inbox: &'a Inbox, at: &'a ContactInbox) -> Around<'a> {
    Around {
        account: (1, "Acme"),
        conversation: v,
        inbox,
        address: Some((at, "pubsub")),
        assignee: None,
        bot: None,
        team: None,
        unread: 2,
    }
}

/// The body as it is sent, one member to a line.
fn shown(word: &str, body: &Body) -> String {
    let telling = Telling {
        event: EventId::from_uuid(Uuid::from_u128(8)),
        sequence: Some(6),
        previous_sequence: Some(4),
        performed_by: json!({"type": "user", "id": 3}),
    };
    let text = webhook::text(word, body, &telling);
    serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).expect("JSON")).expect("text")
}

#[test]
fn a_message_of_ours() {
    let (v, inbox, at, m) = (conversation(), inbox(), address(), message());
    let (around, sender) = (around(&v, &inbox, &at), Sender::Program("Helper"));
    let pushed = webhook::pushed(&around, &m, Some(webhook::pushed_sender(&sender)));
    insta::assert_snapshot!(shown("message_created", &webhook::message(&around, &m, pushed, Some(&sender), &[])));
}

#[test]
fn a_message_of_the_customer_with_little_around_it() {
    let (inbox, at) = (inbox(), address());
    let v =
        Conversation { source_id: None, first_reply_at: None, priority: None, snoozed_until: None, ..conversation() };
    let m = Message {
        direction: Direction::Inbound,
        author_type: AuthorType::Contact,
        content: None,
        external_id: None,
        delivery_status: None,
        attachments: Vec::new(),
        ..message()
    };
    let around = Around { address: None, ..around(&v, &inbox, &at) };
    let sender = Sender::Contact(&v.contact);
    let pushed = webhook::pushed(&around, &m, Some(webhook::pushed_sender(&sender)));
    let changed = Change { field: "text".into(), from: "before".into(), to: "after".into() };
    let changes = webhook::message_changes(&[changed]);
    insta::assert_snapshot!(shown("message_updated", &webhook::message(&around, &m, pushed, Some(&sender), &changes)));
}

#[test]
fn a_contact_and_an_inbox() {
    insta::assert_snapshot!("contact", shown("contact_created", &webhook::contact(&contact(), (1, "Acme"))));
    insta::assert_snapshot!("inbox", shown("inbox_created", &webhook::inbox(&inbox(), (1, "Acme"))));
}

#[test]
fn what_changed_is_said_in_chatwoots_words() {
    let v = conversation();
    let change = |field: &str, from: Value, to: Value| Change { field: field.into(), from, to };
    let changes = [
        change("status", "active".into(), "snoozed".into()),
        change("assignedTeamId", Value::Null, "team_1".into()),
        change("subject", Value::Null, "s".into()),
    ];
    let numbers = [("team_1".to_owned(), 9)].into();
    let found = webhook::changed_attributes(&webhook::conversation_changes(&v, &changes, &numbers));
    let expected = json!([
        {"status": {"previous_value": "open", "current_value": "snoozed"}},
        {"team_id": {"previous_value": null, "current_value": 9}},
    ]);
    assert_eq!(found, expected);
    let sent = [change("deliveryStatus", "queued".into(), "sent".into())];
    assert!(webhook::message_changes(&sent).is_empty(), "both are sent there");
    let held = [change("isHeld", true.into(), false.into())];
    let v = Conversation { status: Status::Active, ..v };
    let found = webhook::conversation_changes(&v, &held, &Default::default());
    assert_eq!(found, [("status", json!("pending"), json!("open"))]);
    assert_eq!(webhook::label_change(&v, "vip", true), [("label_list", json!([]), json!(["vip"]))]);
}

#[test]
fn a_frozen_state_reads_back() {
    let (v, m, i, c) = (conversation(), message(), inbox(), contact());
    let read = |event: &Event| state::read(&state::write(event).expect("a text")).expect("a state");
    let said = read(&Event::MessageSent { message: &m, conversation: &v });
    assert_eq!(said.conversation, Some(v.clone()));
    let mut expected = m.clone();
    expected.attachments[0].url = None; // links are made when they are shown
    assert_eq!(said.message, Some(expected));
    assert_eq!(read(&Event::ContactCreated { contact: &c }).contact, Some(c.clone()));
    assert_eq!(read(&Event::InboxCreated { inbox: &i }).inbox, Some(i.clone()));
    assert_eq!(state::write(&Event::ConversationResolved { conversation: &v }), None);
    assert_eq!(state::read(r#"{"conversation":{"id":1}}"#), None);
}
