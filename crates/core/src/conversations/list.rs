//! Reading conversations: one by id or reference, pages of many by filter.
//!
//! A page costs what its rows cost, however many conversations there are: every list walks an index from where the page
//! before ended. The rare filters are looked at row by row along the walk.

use super::append::{MERGE_HOPS_LIMIT, merge_chain_too_long};
use super::channel::Channel;
use super::status::{Engagement, Status};
use super::{Conversation, conversation, sql};
use crate::ids::{ContactId, ConversationId, InboxId, TeamId, TenantId, UserId};
use crate::page::{Numbered, Rows, Stretch};
use crate::{Error, Result, tenants};
use tieline_db::{Param, Read, params};
use uuid::Uuid;

/// Whose conversations to list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AgentFilter {
    /// This agent's.
    Assigned(UserId),
    /// Nobody's.
    Unassigned,
}

/// What to list; what is none is not asked about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Where they stand.
    pub status: Option<Status>,
    /// Kind of transport.
    pub channel: Option<Channel>,
    /// The team whose queue they are in.
    pub team: Option<TeamId>,
    /// Whose they are.
    pub agent: Option<AgentFilter>,
    /// The customer.
    pub contact: Option<ContactId>,
    /// A slug they carry.
    pub tag: Option<String>,
    /// Who owes whom an answer.
    pub engagement: Option<Engagement>,
    /// The inbox they came through.
    pub inbox: Option<InboxId>,
    /// Changed at or after this instant, microseconds UTC.
    pub updated_since: Option<i64>,
}

impl Filter {
    /// Whether nothing but status and `updated_since` is asked about.
    fn is_plain(&self) -> bool {
        self.channel.is_none()
            && self.team.is_none()
            && self.agent.is_none()
            && self.contact.is_none()
            && self.tag.is_none()
            && self.engagement.is_none()
            && self.inbox.is_none()
    }
}

impl Filter {
    /// Whether a conversation is one that is asked for.
    pub fn admits(&self, v: &Conversation) -> bool {
        let agent = match self.agent {
            Some(AgentFilter::Assigned(id)) => v.agent == Some(id),
            Some(AgentFilter::Unassigned) => v.agent.is_none(),
            None => true,
        };
        agent
            && self.status.is_none_or(|status| v.status == status)
            && self.channel.is_none_or(|channel| v.channel == channel)
            && self.team.is_none_or(|team| v.team == Some(team))
            && self.contact.is_none_or(|contact| v.contact.id == contact)
            && self.tag.as_ref().is_none_or(|tag| v.tags.contains(tag))
            && self.engagement.is_none_or(|engagement| v.engagement == Some(engagement))
            && self.inbox.is_none_or(|inbox| v.inbox == inbox)
            && self.updated_since.is_none_or(|since| v.updated_at >= since)
    }
}

/// The order of a list; always newest first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By last change.
    #[default]
    Updated,
    /// By opening.
    Created,
}

/// Up to `limit` conversations after the row with this sort key (its last change; not looked at by [`Sort::Created`]) and id.
pub fn list(
    read: &mut Read,
    tenant: TenantId,
    filter: &Filter,
    sort: Sort,
    after: Option<(i64, Uuid)>,
    limit: i64,
) -> Result<Vec<Conversation>> {
    let (key, id) = after.unwrap_or((i64::MAX, Uuid::max()));
    let status = filter.status.map(Status::as_str);
    let mut params: Vec<Param> = params![tenant.0, id, limit, filter.updated_since.unwrap_or(i64::MIN)].to_vec();
    let sql = match (sort, filter.is_plain(), status) {
        (Sort::Updated, true, None) => {
            params.push(key.into());
            sql::LIST
        }
        (Sort::Updated, true, Some(status)) if filter.updated_since.is_none() => {
            params.truncate(3);
            params.extend(params![status, key]);
            sql::LIST_OF_STATUS
        }
        _ => {
            let agent = match filter.agent {
                Some(AgentFilter::Assigned(id)) => Some(id.0),
                _ => None,
            };
            params.extend(params![
                status,
                filter.channel.map(Channel::as_str),
                filter.team.map(|id| id.0),
                agent,
                filter.agent == Some(AgentFilter::Unassigned),
                filter.contact.map(|id| id.0),
                filter.engagement.map(Engagement::as_str),
                filter.inbox.map(|id| id.0),
                filter.tag.as_deref().unwrap_or("")
            ]);
            if sort == Sort::Updated {
                params.push(key.into());
            }
            match (sort, filter.contact, agent, status) {
                (Sort::Updated, Some(_), ..) => sql::LIST_OF_CONTACT,
                (Sort::Updated, None, Some(_), _) => sql::LIST_OF_AGENT,
                (Sort::Updated, None, None, Some(_)) => sql::LIST_FILTERED_OF_STATUS,
                (Sort::Updated, None, None, None) => sql::LIST_FILTERED,
                (Sort::Created, Some(_), ..) => sql::LIST_CREATED_OF_CONTACT,
                (Sort::Created, None, ..) => sql::LIST_CREATED,
            }
        }
    };
    Ok(read.all(sql, &params, |row| conversation(row, 0))?)
}

/// A page of the tenant's conversations, or of those of a status, last changed first.
///
/// Errors: `validation_error` for a page that lies too deep.
pub fn numbered(
    read: &mut Read,
    tenant: TenantId,
    status: Option<Status>,
    page: Numbered,
) -> Result<Rows<Conversation>> {
    let total = tenants::counts(read, tenant)?.conversations(status);
    let Some(Stretch { from_oldest, skip, take }) = page.stretch(total)? else {
        return Ok(Rows { rows: Vec::new(), total });
    };
    let mut params: Vec<Param> = params![tenant.0, take, skip].to_vec();
    params.extend(status.map(|status| Param::from(status.as_str())));
    let sql = match (status.is_some(), from_oldest) {
        (false, false) => sql::NUMBERED,
        (false, true) => sql::NUMBERED_FROM_OLDEST,
        (true, false) => sql::NUMBERED_OF_STATUS,
        (true, true) => sql::NUMBERED_OF_STATUS_FROM_OLDEST,
    };
    Ok(Rows { rows: read.all(sql, &params, |row| conversation(row, 0))?, total })
}

/// The conversation with this id.
///
/// Errors: `not_found`, also for another tenant's.
pub fn get(read: &mut Read, tenant: TenantId, id: ConversationId) -> Result<Conversation> {
    read.opt(sql::GET, &params![tenant.0, id.0], |row| conversation(row, 0))?
        .ok_or_else(|| Error::not_found("conversation"))
}

/// The conversation that holds the messages of this one: itself, or the primary it was merged into.
///
/// Errors: `not_found`, also for another tenant's; `merge_chain_too_long`.
pub fn holder(read: &mut Read, tenant: TenantId, id: ConversationId) -> Result<ConversationId> {
    let mut at = id;
    for _ in 0..=MERGE_HOPS_LIMIT {
        let next: Option<Option<Uuid>> = read.opt(sql::MERGED_INTO, &params![tenant.0, at.0], |row| row.get(0))?;
        match next.ok_or_else(|| Error::not_found("conversation"))? {
            Some(primary) => at = ConversationId::from_uuid(primary),
            None => return Ok(at),
        }
    }
    Err(merge_chain_too_long())
}

/// The conversation with this reference.
pub fn by_reference(read: &mut Read, tenant: TenantId, reference: &str) -> Result<Option<Conversation>> {
    Ok(read.opt(sql::BY_THEIR_REFERENCE, &params![tenant.0, reference], |row| conversation(row, 0))?)
}

/// The conversation with this number.
///
/// Errors: `not_found`.
pub fn by_number(read: &mut Read, tenant: TenantId, number: i64) -> Result<Conversation> {
    let found = read.opt(sql::BY_NUMBER, &params![tenant.0, number], |row| conversation(row, 0))?;
    found.ok_or_else(|| Error::not_found("conversation"))
}

/// The last conversation at an address of an inbox.
pub fn newest_from(read: &mut Read, tenant: TenantId, inbox: InboxId, source_id: &str) -> Result<Option<Conversation>> {
    Ok(read.opt(sql::NEWEST_FROM, &params![tenant.0, inbox.0, source_id], |row| conversation(row, 0))?)
}

/// A contact's conversations, last written to first: those that `viewer` sees, all for none; only those of an address of an
/// inbox, if one is given.
pub fn of_contact(
    read: &mut Read,
    tenant: TenantId,
    contact: ContactId,
    viewer: Option<UserId>,
    address: Option<(InboxId, &str)>,
    limit: i64,
) -> Result<Vec<Conversation>> {
    let (inbox, source) = (address.map(|(inbox, _)| inbox.0), address.map_or("", |(_, source)| source));
    let params = params![tenant.0, contact.0, limit, viewer.map(|id| id.0), inbox, source];
    Ok(read.all(sql::OF_CONTACT, &params, |row| conversation(row, 0))?)
}

/// How much of the customer's nobody had looked at when message `number` was the newest; ten at most, among the fifty
/// newest messages then.
pub fn unread_then(read: &mut Read, tenant: TenantId, v: &Conversation, number: i64) -> Result<i64> {
    let params = params![tenant.0, v.id.0, number, v.agent_seen_at.unwrap_or(0)];
    Ok(read.opt(sql::UNREAD_THEN, &params, |row| row.get(0))?.unwrap_or(0))
}

/// How much of the customer's nobody has looked at, ten at most.
pub fn unread(read: &mut Read, tenant: TenantId, v: &Conversation) -> Result<i64> {
    let params = params![tenant.0, v.id.0, v.agent_seen_at.unwrap_or(0)];
    Ok(read.opt(sql::UNREAD, &params, |row| row.get(0))?.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tieline_db::{Config, Db};

    /// A page by number passes over places of a narrow index, never over rows, and sorts nothing but the page.
    #[tokio::test]
    async fn numbered_pages_pass_over_places_of_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(Config::sqlite(folder.path().join("t.db"), crate::MIGRATIONS)).unwrap();
        let all = "SEARCH i USING COVERING INDEX conversations_updated (tenant_id=?)";
        let of_status = "SEARCH i USING COVERING INDEX conversations_status (tenant_id=? AND status=?)";
        let contacts = "SEARCH i USING COVERING INDEX contacts_updated (tenant_id=?)";
        for (statement, count, walk) in [
            (sql::NUMBERED, 3, all),
            (sql::NUMBERED_FROM_OLDEST, 3, all),
            (sql::NUMBERED_OF_STATUS, 4, of_status),
            (sql::NUMBERED_OF_STATUS_FROM_OLDEST, 4, of_status),
            (crate::contacts::sql::NUMBERED, 3, contacts),
            (crate::contacts::sql::NUMBERED_FROM_OLDEST, 3, contacts),
        ] {
            let plan = plan(&db, statement, count).await;
            assert!(plan.iter().any(|line| line == walk), "{statement}\n{plan:#?}");
            let sorts = |line: &&String| line.as_str() == "USE TEMP B-TREE FOR ORDER BY";
            assert!(plan.iter().filter(sorts).count() <= 1, "only the page is sorted: {plan:#?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{statement}\n{plan:#?}");
            assert!(plan.iter().any(|line| line.contains(" (tenant_id=? AND id=?)")), "{plan:#?}");
        }
    }

    async fn plan(db: &Db, statement: &'static str, count: usize) -> Vec<String> {
        let plan = db.read(move |read| {
            let params = vec![Param::Text("x"); count];
            read.all(&format!("explain query plan {statement}"), &params, |row| row.get::<String>(3))
        });
        plan.await.map_err(Error::from).unwrap()
    }

    #[tokio::test]
    async fn lists_walk_an_index_and_sort_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let db = Db::open(Config::sqlite(folder.path().join("t.db"), crate::MIGRATIONS)).unwrap();
        let table = [
            (sql::LIST, 5, "conversations_updated (tenant_id=? AND updated_at>? AND (updated_at,id)<(?,?))", false),
            (
                sql::LIST_OF_STATUS,
                5,
                "conversations_status (tenant_id=? AND status=? AND (updated_at,id)<(?,?))",
                false,
            ),
            (
                sql::LIST_FILTERED,
                14,
                "conversations_updated (tenant_id=? AND updated_at>? AND (updated_at,id)<(?,?))",
                false,
            ),
            (
                sql::LIST_FILTERED_OF_STATUS,
                14,
                "conversations_status (tenant_id=? AND status=? AND (updated_at,id)<(?,?))",
                false,
            ),
            (
                sql::LIST_OF_AGENT,
                14,
                "conversations_assigned (tenant_id=? AND agent_id=? AND (updated_at,id)<(?,?))",
                false,
            ),
            (sql::LIST_OF_CONTACT, 14, "sqlite_autoindex_conversations_1 (tenant_id=? AND id=?)", true),
            (sql::LIST_CREATED, 13, "sqlite_autoindex_conversations_1 (tenant_id=? AND id<?)", false),
            (sql::LIST_CREATED_OF_CONTACT, 13, "sqlite_autoindex_conversations_1 (tenant_id=? AND id=?)", false),
            (sql::BY_THEIR_REFERENCE, 2, "conversations_reference (tenant_id=? AND external_reference=?)", false),
            (sql::GET, 2, "sqlite_autoindex_conversations_1 (tenant_id=? AND id=?)", false),
        ];
        for (statement, count, index, sorts) in table {
            let plan = plan(&db, statement, count).await;
            let walk = plan.iter().find(|line| line.contains(" v ")).expect("a line for the conversations");
            assert!(walk.contains("SEARCH") && walk.contains(index), "{statement}\n{plan:#?}");
            assert!(!plan.iter().any(|line| line.starts_with("SCAN")), "{statement}\n{plan:#?}");
            let sort = plan.iter().any(|line| line.contains("USE TEMP B-TREE FOR ORDER BY"));
            assert_eq!(sort, sorts, "only one customer's conversations are sorted: {statement}\n{plan:#?}");
        }
    }
    /// Before version 4 of the schema they stood in a tree ordered by their key.
    #[tokio::test]
    async fn conversations_of_an_older_schema_stay_whole_when_it_is_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        let texts = async |db: &Db, sql: String| {
            let all = db.read(move |read| read.all(&sql, &[], |row| row.get::<String>(0)));
            all.await.map_err(Error::from).unwrap()
        };
        let names = || "select name from pragma_table_info('conversations') order by cid".to_owned();
        let indexes = || {
            "select name from sqlite_schema where tbl_name = 'conversations' and sql is not null order by name"
                .to_owned()
        };
        let old = Db::open(Config::sqlite(&path, &crate::MIGRATIONS[..3])).unwrap();
        let columns = texts(&old, names()).await;
        let rows = || format!("select quote({}) from conversations order by id", columns.join(") || quote("));
        let values: Vec<String> = columns.iter().map(|column| format!("'{column} ' || n")).collect();
        let (into, values) = (columns.join(", "), values.join(", "));
        let fill =
            format!("insert into conversations ({into}) select {values} from (select 1 as n union all select 2)");
        old.write(move |tx| tx.execute(&fill, &[])).await.map_err(Error::from).unwrap();
        let (before, found) = (texts(&old, rows()).await, texts(&old, indexes()).await);
        old.close();
        let new = Db::open(Config::sqlite(&path, crate::MIGRATIONS)).unwrap();
        assert_eq!(texts(&new, names()).await[..columns.len()], columns);
        assert_eq!(texts(&new, rows()).await, before);
        assert_eq!(before.len(), 2);
        let kept = texts(&new, indexes()).await;
        assert!(found.iter().all(|index| kept.contains(index)), "{kept:?} of {found:?}");
    }
}
