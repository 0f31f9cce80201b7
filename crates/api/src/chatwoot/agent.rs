//! Who calls the application API: a user or a bot, by a token of 24 characters.
//!
//! A bot has a closed list of things that it may do; there it counts as an administrator of its name.

use super::refused::Refused;
use super::view::Scene;
use crate::http::request::RequestId;
use crate::http::visit::Visit;
use crate::hub::Hub;
use crate::limits::{admit, failed, may_try, meter};
use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, header};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use tieline_core::bots::{self, Bot};
use tieline_core::conversations::{self, Conversation, Sight};
use tieline_core::ctx::{Actor, ActorKind, Ctx};
use tieline_core::error::{Error, Kind};
use tieline_core::ids::{InboxId, TenantId, UserId};
use tieline_core::inboxes::{self, Called};
use tieline_core::limits::Who;
use tieline_core::tenants::{self, Tenant};
use tieline_core::users::{self, Availability, Role, User};
use tieline_db::Read;

/// Longest token that is looked up.
const TOKEN_LIMIT: usize = 128;

/// What a bot may ask for, below its account.
const OPEN_TO_BOTS: [(&str, &[Method]); 10] = [
    ("/conversations", &[Method::POST]),
    ("/conversations/{conversation}", &[Method::GET, Method::PATCH, Method::PUT]),
    ("/conversations/{conversation}/toggle_status", &[Method::POST]),
    ("/conversations/{conversation}/toggle_typing_status", &[Method::POST]),
    ("/conversations/{conversation}/toggle_priority", &[Method::POST]),
    ("/conversations/{conversation}/custom_attributes", &[Method::POST]),
    ("/conversations/{conversation}/assignments", &[Method::POST]),
    ("/conversations/{conversation}/messages", &[Method::POST]),
    ("/conversations/{conversation}/labels", &[Method::GET, Method::POST]),
    ("/labels", &[Method::GET]),
];

/// An authenticated user, or bot, in an account.
#[derive(Clone)]
pub(super) struct Agent {
    hub: Hub,
    /// The account.
    pub tenant: Tenant,
    /// The user; of a bot its name and number, under an id that no user has.
    pub user: User,
    /// The bot.
    pub bot: Option<Bot>,
    /// The token, for the profile, which shows it.
    pub token: String,
    request_id: RequestId,
    visit: Visit,
}

impl Agent {
    /// Number of the account.
    pub fn account(&self) -> TenantId {
        self.tenant.id
    }
    /// Whether it is Chatwoot's administrator.
    pub fn is_admin(&self) -> bool {
        matches!(self.user.role, Role::Owner | Role::Admin)
    }
    /// Refuses who is no administrator.
    pub fn admin(&self) -> Result<(), Refused> {
        if self.is_admin() { Ok(()) } else { Err(not_authorized()) }
    }
    /// The context for a verb.
    pub fn ctx(&self) -> Ctx {
        let (kind, id) = match &self.bot {
            Some(bot) => (ActorKind::Bot, bot.id.to_string()),
            None => (ActorKind::User, self.user.id.to_string()),
        };
        let actor = Actor { kind, id: Some(id.into()), name: Some(self.user.name.as_str().into()) };
        Ctx { address: self.visit.address(), ..self.hub.ctx(self.tenant.id, actor, self.request_id.as_str()) }
    }
    /// What views are made from.
    pub fn scene(&self) -> Scene {
        Scene::new(&self.hub, &self.tenant, self.is_admin()).seen_by(self.user.id)
    }
    /// The inboxes that the user may see; none for all.
    pub fn inboxes(&self, read: &mut Read) -> tieline_core::Result<Option<HashSet<InboxId>>> {
        match self.is_admin() {
            true => Ok(None),
            false => Ok(Some(inboxes::of_member(read, self.tenant.id, self.user.id)?.into_iter().collect())),
        }
    }
    /// Whose eyes lists are read with; none for all.
    pub fn viewer(&self) -> Option<UserId> {
        (!self.is_admin()).then_some(self.user.id)
    }
    /// The conversation of this number, if the user may see it: through its inbox or its team.
    pub fn conversation(&self, read: &mut Read, number: i64) -> Result<Conversation, Error> {
        let v = conversations::by_number(read, self.tenant.id, number)?;
        self.visit.call(Called::Inbox(self.tenant.id, v.inbox));
        match Sight::of(read, self.tenant.id, self.viewer())?.covers(v.inbox, v.team) {
            true => Ok(v),
            false => Err(Error::new(Kind::Forbidden, "not_authorized", "You are not authorized to do this action")),
        }
    }
    /// Refuses an inbox that the user may not see.
    pub fn sees(&self, read: &mut Read, inbox: InboxId) -> Result<(), Error> {
        self.visit.call(Called::Inbox(self.tenant.id, inbox));
        match self.inboxes(read)? {
            Some(inboxes) if !inboxes.contains(&inbox) => {
                Err(Error::new(Kind::Forbidden, "not_authorized", "You are not authorized to do this action"))
            }
            _ => Ok(()),
        }
    }
}

/// 401: the role is too low, or the inbox is another's.
pub(super) fn not_authorized() -> Refused {
    Refused::unauthorized("You are not authorized to do this action")
}

/// The token in any of the spellings that clients use. Names of headers have no case, but some proxies drop underscores.
fn token(headers: &HeaderMap) -> Option<&str> {
    let named = ["api-access-token", "api_access_token"].iter().find_map(|name| headers.get(*name)?.to_str().ok());
    let bearer = || headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ').map(|(_, token)| token);
    named.or_else(bearer).map(str::trim).filter(|token| !token.is_empty())
}

/// A bot in a user's place.
fn acting(bot: &Bot) -> User {
    User {
        id: UserId::from_uuid(bot.id.0),
        number: bot.number,
        email: String::new(),
        name: bot.name.clone(),
        role: Role::Admin,
        is_active: true,
        created_at: bot.created_at,
        updated_at: bot.updated_at,
        availability: Availability::Online,
        is_auto_offline: false,
        seen_until: 0,
        display_name: None,
        message_signature: None,
        ui_settings: "{}".into(),
    }
}

fn is_open_to_bots(parts: &Parts) -> bool {
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let route = route.strip_prefix("/api/v1/accounts/{account}").unwrap_or("").trim_end_matches('/');
    let route = route.strip_suffix(".json").unwrap_or(route);
    OPEN_TO_BOTS.iter().any(|(open, methods)| *open == route && methods.contains(&parts.method))
}

impl FromRequestParts<Hub> for Agent {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, hub: &Hub) -> Result<Agent, Refused> {
        let Some(token) = token(&parts.headers).map(str::to_owned) else {
            let text = "You need to sign in or sign up before continuing.";
            let body = json!({"errors": [text], "error": text, "message": text});
            return Err(Refused::Shaped(StatusCode::UNAUTHORIZED, body));
        };
        may_try(hub, parts)?;
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        let path = parts.uri.path();
        let under = ["/api/v1/accounts/", "/api/v2/accounts/"].iter().find_map(|prefix| path.strip_prefix(prefix));
        let wanted = under.map(|rest| {
            let number = rest.split('/').next().unwrap_or("");
            number.trim_end_matches(".json").parse::<i64>().ok()
        });
        let known = token.len() <= TOKEN_LIMIT;
        let found = hub.db.read(move |read| {
            let user = users::by_token(read, &hash)?.filter(|(_, user, _)| known && user.is_active);
            let (live, user, bot) = match user {
                Some((live, user, _)) => (live, user, None),
                None => match bots::by_token(read, &hash)?.filter(|_| known) {
                    Some((tenant, bot)) => (tenant, acting(&bot), Some(bot)),
                    None => return Ok::<_, Error>(None),
                },
            };
            let account = match wanted {
                None => Some(live),
                Some(number) => number.map(TenantId),
            };
            let tenant = match account.map(|account| tenants::get(read, account)) {
                Some(Err(error)) if error.kind != Kind::NotFound => return Err(error),
                Some(found) => found.ok(),
                None => None,
            };
            Ok(Some((live, user, bot, tenant)))
        });
        let Some((live, user, bot, tenant)) = found.await? else {
            if let Some(visit) = Visit::of(parts) {
                visit.call(Called::Nobody);
            }
            let unknown = Error::new(Kind::Unauthorized, "invalid_access_token", "Invalid Access Token");
            return Err(failed(hub, parts, unknown).into());
        };
        // No account at all is 404; another's is 401, like one of theirs that the user is not in.
        let tenant = tenant.ok_or_else(|| Refused::Core(Error::not_found("account")))?;
        let home = if bot.is_some() { tenant.id } else { tenant.live() };
        if home != live {
            return Err(Refused::unauthorized("You are not authorized to access this account"));
        }
        let meter = meter(hub, Who { tenant: tenant.id, principal: user.id.0 }).await?;
        let principal = bot.as_ref().map_or_else(|| user.id.to_string(), |bot| bot.id.to_string());
        admit(hub, parts, &tenant, &principal.into(), &meter, &tenant.limits())?;
        if !tenant.plan.has_api {
            return Err(Refused::unauthorized("Account is suspended"));
        }
        if bot.is_some() && !is_open_to_bots(parts) {
            return Err(Refused::unauthorized("Access to this endpoint is not authorized for bots"));
        }
        let request_id = parts.extensions.get().cloned().unwrap_or_else(|| RequestId::of(None));
        let visit = Visit::of(parts).cloned().unwrap_or_default();
        Ok(Agent { hub: hub.clone(), tenant, user, bot, token, request_id, visit })
    }
}
