//! The API inbox: Chatwoot's client API under `/public/api/v1` and its application API under `/api/v1/accounts`
//! (reports under `/api/v2/accounts`).
//!
//! Guarantees: status codes, envelopes and error bodies are those that Chatwoot's clients look at; every way in which they
//! write a body or a path is read (see [`params`]). It holds no rule: handlers name a verb and show what came of it.

mod agent;
mod agents;
mod automations;
mod bots;
mod cable;
mod canned;
mod contacts;
mod conversations;
mod desk;
mod document;
mod filter;
pub mod imports;
mod inboxes;
mod landing;
mod members;
mod messages;
mod notes;
mod params;
mod people;
mod probes;
mod public;
mod pubsub;
mod queue;
mod refused;
mod reports;
pub(crate) mod room;
mod search;
mod spelling;
mod survey;
mod view;
mod webhooks;

pub use document::document;
pub(crate) use refused::render;

pub use room::{CONNECTIONS_PER_ADDRESS, SUBSCRIPTIONS_PER_PERSON};

use crate::hub::Hub;
use axum::Router;
use axum::routing::{MethodRouter, get, post, put};

/// Result of a handler.
type Result<T> = std::result::Result<T, refused::Refused>;

/// The route of messages of the application API; a message may carry files, so its body may be as large as a file.
pub const MESSAGES_ROUTE: &str = "/api/v1/accounts/{account}/conversations/{conversation}/messages";
/// The same of the client API.
pub const PUBLIC_MESSAGES_ROUTE: &str =
    "/public/api/v1/inboxes/{inbox}/contacts/{contact}/conversations/{conversation}/messages";
/// One call for contact, conversation and message; it may carry files too.
pub const LANDING_ROUTE: &str = "/public/api/v1/inboxes/{inbox}/messages";

/// Adds a route in the three spellings that clients use: as it is, with a slash at its end, and as `.json` (a number at the
/// end of a path may carry that itself, see [`params::Number`]).
fn add(router: Router<Hub>, path: &str, methods: MethodRouter<Hub>) -> Router<Hub> {
    let router = router.route(path, methods.clone()).route(&format!("{path}/"), methods.clone());
    if path.ends_with('}') { router } else { router.route(&format!("{path}.json"), methods) }
}

/// Every route of the dialect.
pub fn routes(hub: Hub) -> Router {
    let mut router = Router::new().route("/cable", get(cable::open));
    for (path, methods) in account_paths() {
        router = add(router, &path, methods);
    }
    // What a body may have is checked while it is read.
    router.layer(axum::extract::DefaultBodyLimit::disable()).merge(public::routes()).with_state(hub)
}

/// The paths of every route, once each; a test wants an operation of the document for each.
pub fn paths() -> Vec<String> {
    account_paths().into_iter().chain(public_paths()).map(|(path, _)| path).collect()
}

/// Routes of the application API and of probes.
fn account_paths() -> Vec<(String, MethodRouter<Hub>)> {
    let account = "/api/v1/accounts/{account}";
    vec![
        ("/api".to_owned(), get(probes::version)),
        ("/health".to_owned(), get(probes::health)),
        ("/api/v1/profile".to_owned(), get(agents::profile).put(agents::update_profile).patch(agents::update_profile)),
        ("/api/v1/profile/availability".to_owned(), post(agents::set_availability)),
        ("/api/v1/profile/auto_offline".to_owned(), post(agents::set_availability)),
        (account.to_owned(), get(people::account)),
        (format!("{account}/agents"), get(people::agents).post(agents::create)),
        (format!("{account}/agents/{{agent}}"), put(agents::update).patch(agents::update).delete(agents::dismiss)),
        (
            format!("{account}/teams/{{team}}/team_members"),
            get(members::of_team)
                .post(members::add_to_team)
                .patch(members::set_team)
                .put(members::set_team)
                .delete(members::remove_from_team),
        ),
        (
            format!("{account}/conversations/{{conversation}}/participants"),
            get(members::participants)
                .post(members::add_participants)
                .patch(members::set_participants)
                .put(members::set_participants)
                .delete(members::remove_participants),
        ),
        (format!("{account}/teams"), get(people::teams).post(people::create_team)),
        (
            format!("{account}/teams/{{team}}"),
            get(people::team).put(people::update_team).patch(people::update_team).delete(people::delete_team),
        ),
        (format!("{account}/labels"), get(people::labels).post(people::create_label)),
        (
            format!("{account}/labels/{{label}}"),
            get(people::label).put(people::update_label).patch(people::update_label).delete(people::delete_label),
        ),
        (format!("{account}/canned_responses"), get(canned::list).post(canned::create)),
        (
            format!("{account}/canned_responses/{{canned}}"),
            put(canned::update).patch(canned::update).delete(canned::delete),
        ),
        (format!("{account}/search"), get(search::all)),
        (format!("{account}/search/{{kind}}"), get(search::one)),
        (format!("{account}/custom_attribute_definitions"), get(people::definitions).post(people::create_definition)),
        (
            format!("{account}/custom_attribute_definitions/{{definition}}"),
            get(people::definition)
                .put(people::update_definition)
                .patch(people::update_definition)
                .delete(people::delete_definition),
        ),
        (format!("{account}/agent_bots"), get(bots::list).post(bots::create)),
        (
            format!("{account}/agent_bots/{{bot}}"),
            get(bots::show).put(bots::update).patch(bots::update).delete(bots::delete),
        ),
        (format!("{account}/agent_bots/{{bot}}/reset_access_token"), post(bots::reset_token)),
        (format!("{account}/agent_bots/{{bot}}/reset_secret"), post(bots::reset_secret)),
        (format!("{account}/inboxes/{{inbox}}/agent_bot"), get(bots::on_inbox)),
        (format!("{account}/inboxes/{{inbox}}/set_agent_bot"), post(bots::set_on_inbox)),
        (format!("{account}/inboxes"), get(inboxes::list).post(inboxes::create)),
        (
            format!("{account}/inboxes/{{inbox}}"),
            get(inboxes::show).put(inboxes::update).patch(inboxes::update).delete(inboxes::delete),
        ),
        (
            format!("{account}/inbox_members"),
            post(inboxes::add_members)
                .patch(inboxes::set_members)
                .put(inboxes::set_members)
                .delete(inboxes::remove_members),
        ),
        (format!("{account}/inbox_members/{{inbox}}"), get(inboxes::members)),
        (format!("{account}/assignable_agents"), get(people::assignable)),
        (format!("{account}/inboxes/{{inbox}}/reset_secret"), post(inboxes::reset_secret)),
        (format!("{account}/webhooks"), get(webhooks::list).post(webhooks::create)),
        (
            format!("{account}/webhooks/{{webhook}}"),
            put(webhooks::update).patch(webhooks::update).delete(webhooks::delete),
        ),
        ("/api/v2/accounts/{account}/reports".to_owned(), get(reports::series)),
        ("/api/v2/accounts/{account}/reports/summary".to_owned(), get(reports::summary)),
        ("/api/v2/accounts/{account}/reports/conversations".to_owned(), get(reports::now)),
        (format!("{account}/automation_rules"), get(automations::list).post(automations::create)),
        (
            format!("{account}/automation_rules/{{rule}}"),
            get(automations::show).put(automations::update).patch(automations::update).delete(automations::delete),
        ),
        (format!("{account}/automation_rules/{{rule}}/clone"), post(automations::clone)),
        (format!("{account}/contacts"), get(contacts::list).post(contacts::create)),
        (format!("{account}/contacts/search"), get(contacts::search)),
        (format!("{account}/contacts/filter"), post(contacts::filter)),
        (format!("{account}/contact_inboxes/filter"), post(contacts::by_source)),
        (format!("{account}/actions/contact_merge"), post(contacts::merge)),
        (
            format!("{account}/contacts/{{contact}}"),
            get(contacts::show).put(contacts::update).patch(contacts::update).delete(contacts::delete),
        ),
        (format!("{account}/contacts/{{contact}}/conversations"), get(contacts::conversations)),
        (format!("{account}/contacts/{{contact}}/labels"), get(contacts::labels_shown).post(contacts::set_labels)),
        (format!("{account}/contacts/{{contact}}/notes"), get(notes::list).post(notes::create)),
        (
            format!("{account}/contacts/{{contact}}/notes/{{note}}"),
            get(notes::show).put(notes::update).patch(notes::update).delete(notes::delete),
        ),
        (format!("{account}/contacts/{{contact}}/avatar"), axum::routing::delete(notes::forget_avatar)),
        (format!("{account}/contacts/{{contact}}/contactable_inboxes"), get(contacts::contactable)),
        (format!("{account}/contacts/{{contact}}/contact_inboxes"), post(contacts::attach)),
        (format!("{account}/contacts/{{contact}}/destroy_custom_attributes"), post(contacts::forget_attributes)),
        (format!("{account}/conversations"), get(queue::list).post(conversations::create)),
        (format!("{account}/conversations/meta"), get(queue::counts)),
        (format!("{account}/conversations/filter"), post(queue::filter)),
        (format!("{account}/conversations/search"), get(queue::search)),
        (
            format!("{account}/conversations/{{conversation}}"),
            get(conversations::show).patch(conversations::update).put(conversations::update).delete(desk::delete),
        ),
        (format!("{account}/conversations/{{conversation}}/mute"), post(desk::mute)),
        (format!("{account}/conversations/{{conversation}}/unmute"), post(desk::unmute)),
        (format!("{account}/conversations/{{conversation}}/unread"), post(desk::unread)),
        (format!("{account}/conversations/{{conversation}}/transcript"), post(desk::transcript)),
        (format!("{account}/conversations/{{conversation}}/attachments"), get(desk::files)),
        (format!("{MESSAGES_ROUTE}/{{message}}/retry"), post(messages::retry)),
        (format!("{account}/conversations/{{conversation}}/toggle_status"), post(conversations::toggle_status)),
        (format!("{account}/conversations/{{conversation}}/toggle_priority"), post(conversations::toggle_priority)),
        (format!("{account}/conversations/{{conversation}}/toggle_typing_status"), post(conversations::typing)),
        (format!("{account}/conversations/{{conversation}}/assignments"), post(conversations::assign)),
        (
            format!("{account}/conversations/{{conversation}}/labels"),
            get(conversations::labels).post(conversations::set_labels),
        ),
        (format!("{account}/conversations/{{conversation}}/custom_attributes"), post(conversations::set_attributes)),
        (format!("{account}/conversations/{{conversation}}/update_last_seen"), post(conversations::seen)),
        (MESSAGES_ROUTE.to_owned(), get(messages::list).post(messages::create)),
        (
            format!("{MESSAGES_ROUTE}/{{message}}"),
            axum::routing::patch(messages::update).put(messages::update).delete(messages::delete),
        ),
    ]
}

/// Routes of the client API, for [`public`].
fn public_paths() -> Vec<(String, MethodRouter<Hub>)> {
    let inbox = "/public/api/v1/inboxes/{inbox}";
    let conversation = format!("{inbox}/contacts/{{contact}}/conversations/{{conversation}}");
    vec![
        (inbox.to_owned(), get(public::inbox)),
        (
            "/public/api/v1/csat_survey/{conversation}".to_owned(),
            get(survey::show).put(survey::update).patch(survey::update),
        ),
        (LANDING_ROUTE.to_owned(), post(landing::land)),
        (format!("{inbox}/contacts"), post(public::create_contact)),
        (
            format!("{inbox}/contacts/{{contact}}"),
            get(public::contact).patch(public::update_contact).put(public::update_contact),
        ),
        (
            format!("{inbox}/contacts/{{contact}}/conversations"),
            get(public::conversations).post(public::create_conversation),
        ),
        (conversation.clone(), get(public::conversation)),
        (format!("{conversation}/toggle_status"), post(public::resolve)),
        (format!("{conversation}/toggle_typing"), post(public::typing)),
        (format!("{conversation}/update_last_seen"), post(public::seen)),
        (PUBLIC_MESSAGES_ROUTE.to_owned(), get(public::messages).post(public::create_message)),
        (format!("{PUBLIC_MESSAGES_ROUTE}/{{message}}"), put(public::answer_form).patch(public::answer_form)),
    ]
}
