//! The search over everything: contacts, conversations, messages. Nothing is indexed for it: the last changed contacts and
//! conversations and the newest messages are looked at, each at most 20,000, after whoever has the text as an address.

use super::Result;
use super::agent::Agent;
use super::contacts::found as contacts_found;
use super::params::Params;
use super::queue::{FOUND, cut, hit};
use super::view::View;
use crate::http::reply::Json;
use crate::hub::Hub;
use axum::extract::{Path, RawQuery, State};
use serde_json::{Map, Value, json};
use tieline_core::contacts::Contact;
use tieline_core::conversations::{self, Conversation, Sight};
use tieline_core::error::Error;
use tieline_core::messages::direction::Direction;
use tieline_core::messages::{self, Message};
use tieline_db::Read;
use tieline_wire::chatwoot::contact::contact as contact_shape;

/// Rows of a page of each kind.
const PAGE: i64 = 15;

/// What is searched for.
struct Asked {
    text: String,
    page: i64,
    agent: Agent,
}

impl Asked {
    fn contacts(&self, read: &mut Read) -> tieline_core::Result<Value> {
        let (found, _) = contacts_found(read, self.agent.account(), &self.text, FOUND)?;
        Ok(cut(found, self.page, PAGE).iter().map(contact_shape).collect())
    }

    /// By number or by customer.
    fn conversations(&self, read: &mut Read, view: &mut View) -> tieline_core::Result<Value> {
        let (tenant, needle) = (self.agent.account(), self.text.to_lowercase());
        let sight = Sight::of(read, tenant, self.agent.viewer())?;
        let mut found: Vec<Conversation> = Vec::new();
        if let Ok(number) = needle.trim_start_matches('#').parse() {
            match conversations::by_number(read, tenant, number) {
                Ok(v) => found.push(v),
                Err(error) if error.code == "not_found" => {}
                Err(error) => return Err(error),
            }
        }
        let (owners, _) = contacts_found(read, tenant, &self.text, PAGE as usize)?;
        for owner in &owners {
            found.extend(conversations::of_contact(read, tenant, owner.id, self.agent.viewer(), None, PAGE)?);
        }
        let is_theirs = |contact: &Contact| {
            [Some(&contact.name), contact.email.as_ref(), contact.phone.as_ref(), contact.external_id.as_ref()]
                .into_iter()
                .flatten()
                .any(|text| text.to_lowercase().contains(&needle))
        };
        let (others, _) = conversations::seek(read, tenant, None, FOUND, |v| is_theirs(&v.contact))?;
        for v in others {
            if found.iter().all(|known| known.id != v.id) {
                found.push(v);
            }
        }
        found.retain(|v| sight.covers(v.inbox, v.team));
        let last: Vec<_> = cut(found, self.page, PAGE);
        let ids: Vec<_> = last.iter().map(|v| v.id).collect();
        let said: Vec<Message> = messages::last_said(read, tenant, &ids)?.into_values().collect();
        last.iter().map(|v| hit(read, view, tenant.0, v, &said)).collect()
    }

    fn messages(&self, read: &mut Read, view: &mut View) -> tieline_core::Result<Value> {
        let (tenant, needle) = (self.agent.account(), self.text.to_lowercase());
        let says = |message: &Message| {
            message.direction != Direction::Activity && message.text.to_lowercase().contains(&needle)
        };
        let (found, _) = messages::seek(read, tenant, FOUND, says)?;
        let sight = Sight::of(read, tenant, self.agent.viewer())?;
        let mut ids: Vec<_> = found.iter().map(|message| message.conversation).collect();
        ids.sort();
        ids.dedup();
        let mut held = conversations::known(read, tenant, &ids)?;
        held.retain(|v| sight.covers(v.inbox, v.team));
        let of = |message: &Message| held.iter().find(|v| v.id == message.conversation);
        let shown = found.iter().filter(|message| of(message).is_some());
        let mut list = Vec::new();
        for message in cut(shown.collect(), self.page, PAGE) {
            if let Some(v) = of(message) {
                list.push(view.message(read, v, message, None)?);
            }
        }
        Ok(Value::Array(list))
    }

    fn answer(&self, read: &mut Read, kinds: &[&str]) -> tieline_core::Result<Value> {
        let scene = self.agent.scene();
        let (mut view, mut payload) = (scene.view(), Map::new());
        for kind in kinds {
            let list = match *kind {
                _ if self.text.is_empty() => json!([]),
                "contacts" => self.contacts(read)?,
                "conversations" => self.conversations(read, &mut view)?,
                "messages" => self.messages(read, &mut view)?,
                _ => json!([]),
            };
            payload.insert((*kind).to_owned(), list);
        }
        Ok(json!({"payload": payload}))
    }
}

async fn ask(hub: Hub, agent: Agent, query: Option<String>, kinds: &'static [&'static str]) -> Result<Json<Value>> {
    let params = Params::of_query(query.as_deref());
    let asked = Asked { text: params.word("q").unwrap_or_default(), page: params.page(), agent };
    Ok(Json(hub.db.read(move |read| asked.answer(read, kinds)).await?))
}

pub async fn all(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    ask(hub, agent, query, &["contacts", "conversations", "messages", "articles"]).await
}

/// One kind, named by the end of the path.
pub async fn one(
    State(hub): State<Hub>,
    agent: Agent,
    Path((_, kind)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>> {
    let kinds: &[&str] = match kind.trim_end_matches(".json") {
        "contacts" => &["contacts"],
        "conversations" => &["conversations"],
        "messages" => &["messages"],
        "articles" => &["articles"],
        _ => return Err(Error::not_found("search").into()),
    };
    ask(hub, agent, query, kinds).await
}
