-- What the API inbox (Chatwoot's contract) brings: tables and columns of its own nouns.

-- What was taken over from another installation: which row of theirs is which row here.
create table import_items (
  tenant_id bigint not null,
  source text not null,                -- the installation and the account there
  noun text not null,                  -- user, team, label, field, inbox, contact, conversation, message
  their_id bigint not null,
  our_id uuid not null,
  mark bigint not null,                -- of a conversation: its last message there that is here
  primary key (tenant_id, source, noun, their_id)
) {{without_rowid}};
{{sqlite
insert into sqlite_stat1 (tbl, idx, stat) values
  ('import_items', 'import_items', '1000000 1000000 1000000 300000 1');
analyze sqlite_schema;
}}

-- What integrators' systems asked of an inbox: counts and the last call of each outcome. Tenant 0: calls for nobody.
create table inbox_calls (
  tenant_id bigint not null,
  inbox_id uuid not null,
  outcome text not null,
  calls bigint not null,
  last_at bigint not null,
  method text not null,
  route text not null,
  status bigint not null,
  detail text,
  request_id text not null,
  primary key (tenant_id, inbox_id, outcome)
) {{without_rowid}};

-- How users show themselves, and whether they say that they are there.
alter table users add column availability text not null default 'online'; -- online, busy, offline
alter table users add column is_auto_offline boolean not null default true; -- offline while nobody looks
alter table users add column display_name text;
alter table users add column message_signature text;
alter table users add column ui_settings text not null default '{}'; -- JSON: what their screens keep
alter table teams add column is_auto_assigned boolean not null default false; -- conversations may find their agent by themselves

-- Users who follow a conversation beside the one who has it.
create table participants (
  tenant_id bigint not null,
  conversation_id uuid not null,
  user_id uuid not null,
  created_at bigint not null,
  primary key (tenant_id, conversation_id, user_id)
) {{without_rowid}};
create index participants_user on participants (tenant_id, user_id, conversation_id);

-- Programs that talk in inboxes.
create table bots (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  description text,
  config text not null,                -- JSON: kept and shown
  access_token_hash bytea not null,
  access_token_sealed bytea not null,
  secret_sealed bytea not null,
  endpoint_id uuid,                    -- the webhook endpoint that is its outgoing_url
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index bots_number on bots (tenant_id, number);
create unique index bots_access_token on bots (access_token_hash);
create index bots_endpoint on bots (tenant_id, endpoint_id) where endpoint_id is not null;
alter table inboxes add column bot_id uuid; -- it gets what comes in here first
alter table conversations add column bot_id uuid; -- it has the conversation, as an agent would

-- Tags of contacts, in the words of conversations.
create table contact_tags (
  tenant_id bigint not null,
  contact_id uuid not null,
  tag_id uuid not null,
  created_at bigint not null,
  primary key (tenant_id, contact_id, tag_id)
) {{without_rowid}};
create index contact_tags_tag on contact_tags (tenant_id, tag_id, contact_id);
-- Whoever nobody knows an address of: few, and left out of totals.
create index contacts_nameless on contacts (tenant_id) where email is null and phone is null and external_id is null;
-- Totals of a queue: those that somebody has, and those that bots hold.
create index conversations_agent on conversations (tenant_id, agent_id, status, is_held) where agent_id is not null;
create index conversations_held on conversations (tenant_id, status) where is_held;
{{sqlite
insert into sqlite_stat1 (tbl, idx, stat) values
  ('contact_tags', 'contact_tags', '1000000 1000000 2 1'),
  ('contact_tags', 'contact_tags_tag', '1000000 1000000 20000 1'),
  ('contacts', 'contacts_nameless', '1000 1000'),
  ('conversations', 'conversations_agent', '500000 500000 10000 5000 4000'),
  ('conversations', 'conversations_held', '1000 1000 500');
analyze sqlite_schema;
}}

-- Rules that act on what happens. What a rule says is stored in the native shape.
create table automations (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  name text not null,
  description text,
  started_by text not null,            -- its trigger
  branches text not null,              -- JSON
  spelling text,                       -- JSON: conditions and actions as another dialect wrote them; null: as the branches say
  is_active boolean not null,
  active_after bigint not null,        -- position of the log when it was last switched on
  run_count bigint not null default 0,
  last_run_at bigint,
  last_error text,
  last_error_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index automations_number on automations (tenant_id, number);

-- What reports are made of: sums of what happened in an hour, for the account and each inbox, team, agent and label.
create table report_hours (
  tenant_id bigint not null,
  dimension text not null,             -- account, inbox, team, agent, label
  subject text not null,               -- an id as on the wire, a label's slug; of the account nothing
  hour bigint not null,                -- hours since 1970, UTC
  conversations bigint not null,       -- opened then, and the subject's now
  incoming bigint not null,
  outgoing bigint not null,
  resolutions bigint not null,
  resolution_us bigint not null,       -- from opening to resolution, all together
  first_replies bigint not null,
  first_reply_us bigint not null,      -- from opening
  replies bigint not null,
  reply_us bigint not null,            -- from what the customer had written
  primary key (tenant_id, dimension, subject, hour)
) {{without_rowid}};

-- All of the state that an event froze, for formats that show more than the native one; null where nobody asks for it.
alter table events add column state text;
-- Somebody asks for it in this partition: there is, or was, an endpoint of such a format.
alter table tenants add column keeps_state boolean not null default false;

-- How a label looks where labels have colours.
alter table tags add column color text not null default '#1f93ff';
alter table tags add column is_in_sidebar boolean not null default true;
-- What a definition says beside its name, and the kind of value in another dialect's words where ours are fewer.
alter table custom_fields add column description text;
alter table custom_fields add column display text;

-- Texts that people say again and again.
create table snippets (
  tenant_id bigint not null,
  id uuid not null,
  number bigint not null,
  shortcut text not null,
  text text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, id)
) {{without_rowid}};
create unique index snippets_number on snippets (tenant_id, number);
create unique index snippets_shortcut on snippets (tenant_id, shortcut);

-- What we note of a contact.
create table contact_notes (
  tenant_id bigint not null,
  contact_id uuid not null,
  id uuid not null,
  number bigint not null,
  user_id uuid,                        -- who wrote it
  text text not null,
  created_at bigint not null,
  updated_at bigint not null,
  primary key (tenant_id, contact_id, id)
) {{without_rowid}};
create unique index contact_notes_number on contact_notes (tenant_id, contact_id, number);

-- Surveys of satisfaction, one of a conversation. Who answers knows the conversation's id alone.
create table surveys (
  conversation_id uuid primary key,
  tenant_id bigint not null,
  message_id uuid not null,
  rating bigint,
  feedback text,
  asked_at bigint not null,
  answered_at bigint
) {{without_rowid}};
