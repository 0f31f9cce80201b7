-- The whole first schema. Types are PostgreSQL's names; SQLite takes them by affinity. Times are microseconds UTC.
-- Every table of a tenant leads with tenant_id: a tenant is the unit of sharding.

-- Numbers for whoever addresses things by an integer: one sequence for all nouns and tenants. Conversations have their own.
{{numbers}};

-- Facts of the installation: the check value of the secret key, cursors of readers of the log.
create table installation (name text primary key, value text not null);

create table tenants (
  id bigint primary key,
  parent_id bigint,                    -- the live tenant of a test partition
  slug text not null,
  name text not null,
  default_team_id uuid,
  plan_name text not null,
  has_api boolean not null,
  has_webhooks boolean not null,
  max_webhooks bigint not null,
  rate_per_minute bigint not null,
  rate_burst bigint not null,
  daily_quota bigint,
  monthly_quota bigint,
  own_rate_per_minute bigint,          -- the tenant's own wishes: below the plan, never above
  own_monthly_quota bigint,
  log_bodies boolean not null,
  created_at bigint not null,
  updated_at bigint not null
);
create unique index tenants_slug on tenants (slug) where parent_id is null;
create unique index tenants_partition on tenants (parent_id) where parent_id is not null;

-- The last conversation number. A table of its own, because numbers are taken apart from the transaction that uses them.
create table tenant_numbers (tenant_id bigint primary key, conversation_number bigint not null) {{without_rowid}};

-- How many rows the tenant has, as the sum over the slots: lists by page number show totals without counting. Transactions
-- side by side mostly take different slots, so that none waits for another's commit.
create table tenant_counters (
  tenant_id bigint not null,
  slot bigint not null,
  contacts bigint not null,
  active bigint not null,              -- conversations of each status
  snoozed bigint not null,
  done bigint not null,
  archived bigint not null,
  primary key (tenant_id, slot)
) {{without_rowid}};

create table users (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  email text not null,
  name text not null,
  role text not null,
  password_hash text,
  access_token_hash bytea not null,
  access_token_sealed bytea not null,
  is_active boolean not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index users_number on users (tenant_id, number);
create unique index users_email on users (tenant_id, email);
create unique index users_access_token on users (access_token_hash);

-- One-time links: the first owner's set-up, invitations, password resets.
create table setup_links (token_hash bytea primary key, purpose text not null, tenant_id bigint, user_id uuid, expires_at bigint not null);

create table api_keys (
  tenant_id bigint not null,
  id uuid not null,
  name text not null,
  description text,
  hash bytea not null,
  prefix text not null,
  scopes text not null,
  is_active boolean not null,
  expires_at bigint,
  last_used_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index api_keys_hash on api_keys (hash);

-- What nodes tell each other of the requests they let in. The principal is a key, a user or an inbox; the nil id stands
-- for the whole tenant.
create table request_counts (
  tenant_id bigint not null,
  principal uuid not null,
  period text not null,                -- 2026-11-21 or 2026-11, UTC
  requests bigint not null,
  ends_at bigint not null,
  primary key (tenant_id, principal, period)
) {{without_rowid}};
create index request_counts_end on request_counts (ends_at);
create table request_windows (
  tenant_id bigint not null,
  principal uuid not null,
  node uuid not null,
  seconds text not null,               -- requests by second: the first second, then counts
  updated_at bigint not null,
  primary key (tenant_id, principal, node)
) {{without_rowid}};
create index request_windows_age on request_windows (updated_at);
create table request_log (
  tenant_id bigint not null,
  id uuid not null,                    -- made of created_at
  principal text not null,             -- on the wire: key_…
  method text not null,
  route text not null,
  path text not null,
  status bigint not null,
  duration_us bigint not null,
  request_id text not null,
  address text,
  created_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create index request_log_principal on request_log (tenant_id, principal, id);
create table request_bodies (
  tenant_id bigint not null,
  id uuid not null,
  request text,
  response text,
  primary key (tenant_id, id)
);
create table request_nodes (node uuid primary key, batch bigint not null, seen_at bigint not null) {{without_rowid}};

create table teams (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  description text,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index teams_number on teams (tenant_id, number);
create unique index teams_name on teams (tenant_id, name);
create table team_members (
  tenant_id bigint not null,
  team_id uuid not null,
  user_id uuid not null,
  primary key (tenant_id, team_id, user_id)
) {{without_rowid}};
create index team_members_user on team_members (tenant_id, user_id);

create table inboxes (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  channel text not null,
  identifier text not null,
  team_id uuid,
  endpoint_id uuid,                    -- the webhook endpoint behind its own webhookUrl
  is_identity_required boolean not null default false, -- clients without a key must prove who they are
  is_single_conversation boolean not null default false, -- a contact's next conversation is its last one
  settings text not null default '{}', -- JSON: kept and shown to clients, without a meaning here
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index inboxes_number on inboxes (tenant_id, number);
create unique index inboxes_identifier on inboxes (identifier);
create index inboxes_channel on inboxes (tenant_id, channel, created_at, id);
create index inboxes_endpoint on inboxes (tenant_id, endpoint_id) where endpoint_id is not null;

-- Users who may work on an inbox; owners and administrators need no row.
create table inbox_members (
  tenant_id bigint not null,
  inbox_id uuid not null,
  user_id uuid not null,
  primary key (tenant_id, inbox_id, user_id)
) {{without_rowid}};
create index inbox_members_user on inbox_members (tenant_id, user_id);

create table contacts (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  email text,                          -- the primary handles, as given; handles holds them all
  phone text,
  external_id text,
  custom_fields text not null,
  metadata text not null default '{}', -- JSON: free-form
  is_blocked boolean not null default false,
  avatar_url text,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index contacts_number on contacts (tenant_id, number);
create index contacts_updated on contacts (tenant_id, updated_at, id);

-- A contact's addresses. match_key is what makes two spellings the same address.
create table handles (
  tenant_id bigint not null,
  kind text not null,                  -- email, phone, external_id
  match_key text not null,
  value text not null,
  contact_id uuid not null,
  is_primary boolean not null,
  created_at bigint not null,
  primary key (tenant_id, kind, match_key)
) {{without_rowid}};
create index handles_contact on handles (tenant_id, contact_id);

-- A contact's addresses in inboxes of integrators: what their system calls it there.
create table contact_inboxes (
  tenant_id bigint not null,
  inbox_id uuid not null,
  source_id text not null,
  number bigint not null,
  contact_id uuid not null,
  is_verified boolean not null,        -- it proved by a hash who it is
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, inbox_id, source_id)
) {{without_rowid}};
create index contact_inboxes_contact on contact_inboxes (tenant_id, contact_id, inbox_id, number);
create unique index contact_inboxes_number on contact_inboxes (tenant_id, number);

-- Contacts that were merged into another: their ids still answer.
create table contact_aliases (
  tenant_id bigint not null,
  id uuid not null,
  contact_id uuid not null,
  created_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create index contact_aliases_contact on contact_aliases (tenant_id, contact_id);

create table conversations (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  inbox_id uuid not null,
  contact_id uuid not null,
  channel text not null,
  subject text,
  status text not null,
  engagement text,
  external_reference text,
  team_id uuid,
  agent_id uuid,
  custom_fields text not null,
  metadata text not null,
  snoozed_until bigint,
  merged_into_id uuid,
  source_id text,                      -- the contact's address in the inbox (contact_inboxes)
  priority text,
  is_held boolean not null,            -- a bot works on it: not yet in the agents' queue
  waiting_since bigint,                -- of the customer's oldest message that nobody answered
  first_reply_at bigint,
  contact_seen_at bigint,
  agent_seen_at bigint,
  previous_id uuid,                    -- the archived conversation whose customer wrote again
  reopen_count bigint not null,
  event_sequence bigint not null,
  message_count bigint not null,       -- inbound and outbound ones
  last_message_at bigint,
  last_contact_message_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  done_at bigint,
  archived_at bigint,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index conversations_reference on conversations (tenant_id, external_reference) where external_reference is not null;
create unique index conversations_number on conversations (tenant_id, number);
create index conversations_updated on conversations (tenant_id, updated_at, id);
create index conversations_status on conversations (tenant_id, status, updated_at, id);
create index conversations_contact on conversations (tenant_id, contact_id, id);
create index conversations_source on conversations (tenant_id, inbox_id, source_id, number) where source_id is not null;
create index conversations_previous on conversations (tenant_id, previous_id) where previous_id is not null;

create table tags (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  slug text not null,
  name text not null,
  description text,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index tags_number on tags (tenant_id, number);
create unique index tags_slug on tags (tenant_id, slug);
create table conversation_tags (
  tenant_id bigint not null,
  conversation_id uuid not null,
  tag_id uuid not null,
  created_at bigint not null,
  primary key (tenant_id, conversation_id, tag_id)
) {{without_rowid}};
create index conversation_tags_tag on conversation_tags (tenant_id, tag_id, conversation_id);

create table custom_fields (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  entity text not null,
  key text not null,
  name text not null,
  type text not null,
  options text not null,               -- JSON array of {label, value}
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index custom_fields_number on custom_fields (tenant_id, number);
create unique index custom_fields_key on custom_fields (tenant_id, entity, key);

create table messages (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,              -- taken while the conversation is held: grows within it
  conversation_id uuid not null,
  direction text not null,
  author_type text not null,
  author_id uuid,
  author_name text,
  text text not null,
  html text,
  content_type text,                   -- another than text
  content_attributes text,             -- JSON
  external_id text,
  delivery_status text,
  failure_reason text,
  sent_at bigint not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index messages_number on messages (tenant_id, conversation_id, number);
create unique index messages_external on messages (tenant_id, conversation_id, external_id) where external_id is not null;

create table attachments (
  tenant_id bigint not null,
  id uuid not null,
  message_id uuid,                     -- null: an upload that no message has taken yet
  place bigint not null,               -- among the message's files, from 0
  name text not null,
  content_type text not null,
  size bigint,
  state text not null,                 -- pending, stored, failed
  source_url text,                     -- null: it was uploaded
  error text,
  attempts bigint not null,
  due_at bigint,                       -- of the next fetch; null unless one is to come
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create index attachments_message on attachments (tenant_id, message_id);
create index attachments_due on attachments (due_at) where due_at is not null;
create index attachments_unclaimed on attachments (created_at) where message_id is null;

-- The log. position is the order in which changes became visible; negative: it has no place yet (PostgreSQL).
-- sequence counts one conversation's events.
create table events (
  position {{position}},
  id uuid not null,
  tenant_id bigint not null,
  type text not null,
  conversation_id uuid,
  inbox_id uuid,
  sequence bigint,
  actor text not null,                 -- JSON: who did it
  cause text,                          -- JSON: what led to it
  data text not null,                  -- JSON: the state after, and what changed, in the native shape
  created_at bigint not null
);
create index events_tenant on events (tenant_id, position);
create unique index events_id on events (tenant_id, id);

create table webhook_endpoints (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  description text,
  url text not null,
  events text not null,                -- space-separated names, or *
  format text not null,
  header_prefix text not null,
  max_attempts bigint not null,
  inbox_ids text,                      -- space-separated ids, null for all
  is_active boolean not null,
  disabled_reason text,
  active_after bigint not null,        -- position of the log when it was last switched on
  disabled_at bigint,
  secret_sealed bytea not null,
  secret_prefix text not null,
  previous_secret_sealed bytea,
  previous_secret_until bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index webhook_endpoints_number on webhook_endpoints (tenant_id, number);

-- The moving part of an endpoint: who sends for it, when it is next due, and how it has been doing.
create table endpoint_states (
  endpoint_id uuid primary key,
  tenant_id bigint not null,
  next_due_at bigint,                  -- null: nothing waits
  owner text,
  lease_until bigint not null,
  epoch bigint not null,
  consecutive_failures bigint not null,
  first_failure_at bigint,
  next_probe_at bigint,
  last_success_at bigint,
  last_failure_at bigint
) {{without_rowid}};
create index endpoint_states_due on endpoint_states (next_due_at) where next_due_at is not null;

-- Endpoints that were deleted: housekeeping removes their deliveries, some at a time.
create table deleted_endpoints (endpoint_id uuid primary key, tenant_id bigint not null, deleted_at bigint not null) {{without_rowid}};

create table deliveries (
  endpoint_id uuid not null,
  id uuid not null,
  tenant_id bigint not null,
  position bigint not null,            -- of the event; ties (redelivery, test) go by id
  event_id uuid not null,
  event_type text not null,
  conversation_id uuid,
  sequence bigint,
  status text not null,                -- pending, succeeded, failed, cancelled
  attempts bigint not null,            -- of this round: a redelivery or replay starts another
  earlier_attempts bigint not null,    -- of the rounds before
  overtaken boolean not null,          -- retries on its own: later events of its conversation no longer wait for it
  manual boolean not null,             -- asked for by a person (test, redeliver): sent at once, whatever the breaker says
  due_at bigint,                       -- of the next attempt; null once it has ended
  body text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (endpoint_id, id)
);
create index deliveries_pending on deliveries (endpoint_id, position, id) where status = 'pending' and not manual;
create index deliveries_manual on deliveries (endpoint_id, id) where status = 'pending' and manual;
create index deliveries_unsuccessful on deliveries (endpoint_id, id) where status in ('failed', 'cancelled');
create index deliveries_conversation on deliveries (tenant_id, conversation_id, endpoint_id, sequence, position);

create table attempts (
  delivery_id uuid not null,
  number bigint not null,
  tenant_id bigint not null,
  at bigint not null,
  duration_us bigint not null,
  status_code bigint,
  error text,
  response text,
  primary key (delivery_id, number)
) {{without_rowid}};

create table idempotency_keys (
  tenant_id bigint not null,
  principal text not null,             -- the key or user that asked
  route text not null,
  key text not null,
  request_hash bytea not null,
  status bigint not null,
  location text,
  answer bytea not null,
  created_at bigint not null,
  primary key (tenant_id, principal, route, key)
) {{without_rowid}};
create index idempotency_keys_age on idempotency_keys (created_at);

create table timers (
  tenant_id bigint not null,
  kind text not null,
  subject uuid not null,
  due_at bigint not null,
  primary key (tenant_id, kind, subject)
) {{without_rowid}};
create index timers_due on timers (due_at);

create table audit (
  tenant_id bigint not null,
  id uuid not null,
  actor text not null,
  action text not null,
  subject text not null,
  detail text not null,
  created_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};

-- What SQLite's planner is to know of the large tables. Without statistics it takes a tenant for ten rows and walks them
-- all; with those of the day it would plan otherwise tomorrow. So it gets these, for ever: a tenant may be everything, and
-- what follows narrows. Rows, then how many share the first column, the first two, and so on.
{{sqlite
analyze sqlite_schema;
insert into sqlite_stat1 (tbl, idx, stat) values
  ('contacts', 'contacts', '1000000 1000000 1'),
  ('contacts', 'contacts_number', '1000000 1000000 1'),
  ('contacts', 'contacts_updated', '1000000 1000000 2 1'),
  ('handles', 'handles', '1000000 1000000 400000 1'),
  ('handles', 'handles_contact', '1000000 1000000 2'),
  ('contact_aliases', 'contact_aliases', '100000 100000 1'),
  ('contact_aliases', 'contact_aliases_contact', '100000 100000 2'),
  ('contact_inboxes', 'contact_inboxes', '1000000 1000000 200000 1'),
  ('contact_inboxes', 'contact_inboxes_contact', '1000000 1000000 2 1 1'),
  ('contact_inboxes', 'contact_inboxes_number', '1000000 1000000 1'),
  ('conversations', 'conversations', '1000000 1000000 1'),
  ('conversations', 'conversations_source', '1000000 1000000 200000 2 1'),
  ('conversations', 'conversations_number', '1000000 1000000 1'),
  ('conversations', 'conversations_reference', '1000000 1000000 1'),
  ('conversations', 'conversations_updated', '1000000 1000000 2 1'),
  ('conversations', 'conversations_status', '1000000 1000000 300000 2 1'),
  ('conversations', 'conversations_contact', '1000000 1000000 5 1'),
  ('conversations', 'conversations_previous', '10000 10000 1'),
  ('conversation_tags', 'conversation_tags', '1000000 1000000 2 1'),
  ('conversation_tags', 'conversation_tags_tag', '1000000 1000000 20000 1'),
  ('messages', 'messages', '5000000 5000000 1'),
  ('messages', 'messages_number', '5000000 5000000 5 1'),
  ('messages', 'messages_external', '1000000 1000000 5 1'),
  ('attachments', 'attachments', '100000 100000 1'),
  ('attachments', 'attachments_message', '100000 100000 2'),
  ('attachments', 'attachments_due', '100 1'),
  ('attachments', 'attachments_unclaimed', '1000 2'),
  ('request_log', 'request_log', '1000000 1000000 1'),
  ('request_log', 'request_log_principal', '1000000 1000000 100000 1'),
  ('request_bodies', 'sqlite_autoindex_request_bodies_1', '1000000 1000000 1'),
  ('request_counts', 'request_counts', '100000 100000 30 1'),
  ('request_counts', 'request_counts_end', '100000 1000'),
  ('request_windows', 'request_windows', '10000 10000 5 1'),
  ('request_windows', 'request_windows_age', '10000 10');
analyze sqlite_schema;
}}
