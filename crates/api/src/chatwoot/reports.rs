//! Reports of the application API, version 2. Times are unix seconds; what happened is known by the hour, so a range begins
//! and ends with one.

use super::Result;
use super::agent::Agent;
use super::params::Params;
use super::people::active;
use super::refused::Refused;
use crate::http::reply::Json;
use crate::hub::Hub;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde_json::{Value, json};
use tieline_core::reports::period::Period;
use tieline_core::reports::{self, Counts, Dimension, Metric};
use tieline_core::{inboxes, tags, teams, users};
use tieline_db::Read;

const HOUR: i64 = 3600;
/// A range without a beginning, seconds: a week.
const RANGE: i64 = 7 * 24 * HOUR;
/// Agents of a page.
const PAGE: usize = 25;
/// Furthest that a clock stands from UTC, hours.
const OFFSET_LIMIT: f64 = 14.0;

/// Chatwoot's metrics, in the order of its summary.
const METRICS: [(&str, Metric); 7] = [
    ("conversations_count", Metric::Conversations),
    ("incoming_messages_count", Metric::Incoming),
    ("outgoing_messages_count", Metric::Outgoing),
    ("avg_first_response_time", Metric::FirstReplyTime),
    ("avg_resolution_time", Metric::ResolutionTime),
    ("resolutions_count", Metric::Resolutions),
    ("reply_time", Metric::ReplyTime),
];

/// What a request asks about, and when.
struct Asked {
    dimension: Dimension,
    subject: String,
    /// Unix seconds.
    since: i64,
    until: i64,
}

fn asked(read: &mut Read, agent: &Agent, params: &Params) -> Result<Asked> {
    let tenant = agent.account();
    let word = params.word("type").unwrap_or_else(|| "account".into());
    let unknown = || Refused::unprocessable("type is account, agent, inbox, label or team");
    let dimension = Dimension::from_text(&word).ok_or_else(unknown)?;
    let number = params.number("id").unwrap_or(0);
    let subject = match dimension {
        Dimension::Account => String::new(),
        Dimension::Inbox => inboxes::by_number(read, tenant, number)?.id.to_string(),
        Dimension::Team => teams::by_number(read, tenant, number)?.id.to_string(),
        Dimension::Agent => users::by_number(read, agent.tenant.live(), number)?.id.to_string(),
        Dimension::Label => tags::by_number(read, tenant, number)?.slug,
    };
    let until = params.number("until").unwrap_or_else(|| read.now() / 1_000_000);
    let since = params.number("since").unwrap_or(until.saturating_sub(RANGE));
    let seconds = 0..=i64::from(u32::MAX) * 4;
    if !seconds.contains(&since) || !seconds.contains(&until) || until < since {
        return Err(Refused::unprocessable("since and until are unix seconds, the earlier one first"));
    }
    Ok(Asked { dimension, subject, since, until })
}

impl Asked {
    /// What was counted, by the hour.
    fn hours(&self, read: &mut Read, agent: &Agent) -> Result<Vec<(i64, Counts)>> {
        let (from, to) = (self.since.div_euclid(HOUR), (self.until + HOUR - 1).div_euclid(HOUR));
        Ok(reports::hours(read, agent.account(), self.dimension, &self.subject, from, to)?)
    }
    /// The range of the same length before.
    fn before(&self) -> Asked {
        let since = (self.since - (self.until - self.since)).max(0);
        Asked { dimension: self.dimension, subject: self.subject.clone(), since, until: self.since }
    }
}

/// A metric's value: a number, or for durations their mean in seconds.
fn value(counts: &Counts, metric: Metric) -> Value {
    match counts.metric(metric) {
        (count, None) => json!(count),
        (0, Some(_)) => json!(0),
        (count, Some(us)) => json!(us as f64 / count as f64 / 1e6),
    }
}

pub async fn series(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    agent.admin()?;
    let params = Params::of_query(query.as_deref());
    let wanted = params.word("metric").unwrap_or_default();
    let Some((_, metric)) = METRICS.into_iter().find(|(name, _)| *name == wanted) else {
        let names = METRICS.map(|(name, _)| name).join(", ");
        return Err(Refused::unprocessable(&format!("metric is one of {names}")));
    };
    let group = params.word("group_by").unwrap_or_else(|| "day".into());
    let unknown = || Refused::unprocessable("group_by is hour, day, week, month or year");
    let period = Period::from_text(&group).ok_or_else(unknown)?;
    let offset: f64 = params.word("timezone_offset").map_or(Ok(0.0), |text| text.parse()).unwrap_or(f64::NAN);
    if !(-OFFSET_LIMIT..=OFFSET_LIMIT).contains(&offset) {
        return Err(Refused::unprocessable("timezone_offset is a number of hours"));
    }
    let offset = (offset * HOUR as f64).round() as i64;
    let found = hub.db.read(move |read| {
        let asked = asked(read, &agent, &params)?;
        let hours = asked.hours(read, &agent)?;
        let (mut points, mut hours) = (Vec::new(), hours.into_iter().peekable());
        let mut start = period.start(asked.since, offset);
        while start < asked.until {
            let next = period.next(start, offset);
            let mut counts = Counts::default();
            while let Some((_, more)) = hours.next_if(|(hour, _)| hour * HOUR < next) {
                counts += more;
            }
            let mut point = json!({"value": value(&counts, metric), "timestamp": start});
            if let (count, Some(_)) = counts.metric(metric) {
                point["count"] = json!(count);
            }
            points.push(point);
            start = next;
        }
        Ok::<_, Refused>(Value::Array(points))
    });
    Ok(Json(found.await?))
}

pub async fn summary(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Json<Value>> {
    agent.admin()?;
    let params = Params::of_query(query.as_deref());
    let found = hub.db.read(move |read| {
        let asked = asked(read, &agent, &params)?;
        let mut whole = |asked: &Asked| {
            let mut counts = Counts::default();
            asked.hours(read, &agent)?.into_iter().for_each(|(_, more)| counts += more);
            let values = METRICS.map(|(name, metric)| (name.to_owned(), value(&counts, metric)));
            Ok::<_, Refused>(Value::Object(values.into_iter().collect()))
        };
        let mut summary = whole(&asked)?;
        summary["previous"] = whole(&asked.before())?;
        Ok::<_, Refused>(summary)
    });
    Ok(Json(found.await?))
}

/// How the queue stands now, as a whole or for each agent.
pub async fn now(State(hub): State<Hub>, agent: Agent, RawQuery(query): RawQuery) -> Result<Response> {
    agent.admin()?;
    let params = Params::of_query(query.as_deref());
    let found = match params.word("type").as_deref() {
        Some("account") => {
            hub.db
                .read(move |read| {
                    let team = params.number("team_id").map(|number| teams::by_number(read, agent.account(), number));
                    let now = reports::now(read, agent.account(), team.transpose()?.map(|team| team.id))?;
                    Ok::<_, Refused>(json!({
                        "open": now.open,
                        "unattended": now.unattended,
                        "unassigned": now.unassigned,
                        "pending": now.pending,
                    }))
                })
                .await?
        }
        Some("agent") => {
            hub.db
                .read(move |read| {
                    let wanted = params.number("user_id");
                    let now = reports::now_by_agent(read, agent.account())?;
                    let mut people = active(read, &agent)?;
                    people.retain(|user| wanted.is_none_or(|wanted| wanted == user.number));
                    people.sort_by_key(|user| user.number);
                    let page = people.iter().skip((params.page() as usize - 1) * PAGE).take(PAGE);
                    let shown = page.map(|user| {
                        let (open, unattended) = now.get(&user.id).copied().unwrap_or_default();
                        json!({
                            "id": user.number,
                            "name": user.name,
                            "email": user.email,
                            "thumbnail": "",
                            "availability": user.availability.as_str(),
                            "metric": {"open": open, "unattended": unattended},
                        })
                    });
                    Ok::<_, Refused>(shown.collect::<Value>())
                })
                .await?
        }
        _ => return Ok(StatusCode::UNPROCESSABLE_ENTITY.into_response()),
    };
    Ok(Json(found).into_response())
}
