-- Of administrative changes: from where.
alter table audit add column address text;

{{sqlite
-- A conversation's row is long. In one tree ordered by the key, whose inner nodes hold whole rows too, a million of them were
-- six pages deep; three of those were new to every look. So here the rows stand by number, three pages deep, and indexes name
-- that number.
create table conversations_by_number (
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
  source_id text,
  priority text,
  is_held boolean not null,
  waiting_since bigint,
  first_reply_at bigint,
  contact_seen_at bigint,
  agent_seen_at bigint,
  previous_id uuid,
  reopen_count bigint not null,
  event_sequence bigint not null,
  message_count bigint not null,
  last_message_at bigint,
  last_contact_message_at bigint,
  created_at bigint not null,
  updated_at bigint not null,
  done_at bigint,
  archived_at bigint,
  bot_id uuid,
  primary key (tenant_id, id)
);
insert into conversations_by_number select * from conversations order by tenant_id, id;
drop table conversations;
alter table conversations_by_number rename to conversations;
create unique index conversations_reference on conversations (tenant_id, external_reference) where external_reference is not null;
create unique index conversations_number on conversations (tenant_id, number);
create index conversations_updated on conversations (tenant_id, updated_at, id);
create index conversations_status on conversations (tenant_id, status, updated_at, id);
create index conversations_contact on conversations (tenant_id, contact_id, id);
create index conversations_source on conversations (tenant_id, inbox_id, source_id, number) where source_id is not null;
create index conversations_previous on conversations (tenant_id, previous_id) where previous_id is not null;
create index conversations_agent on conversations (tenant_id, agent_id, status, is_held) where agent_id is not null;
create index conversations_held on conversations (tenant_id, status) where is_held;
insert into sqlite_stat1 (tbl, idx, stat) values
  ('conversations', 'sqlite_autoindex_conversations_1', '1000000 1000000 1'),
  ('conversations', 'conversations_source', '1000000 1000000 200000 2 1'),
  ('conversations', 'conversations_number', '1000000 1000000 1'),
  ('conversations', 'conversations_reference', '1000000 1000000 1'),
  ('conversations', 'conversations_updated', '1000000 1000000 2 1'),
  ('conversations', 'conversations_status', '1000000 1000000 300000 2 1'),
  ('conversations', 'conversations_contact', '1000000 1000000 5 1'),
  ('conversations', 'conversations_previous', '10000 10000 1'),
  ('conversations', 'conversations_agent', '500000 500000 10000 5000 4000'),
  ('conversations', 'conversations_assigned', '500000 500000 10000 2 1'),
  ('conversations', 'conversations_held', '1000 1000 500');
}}

-- What a user has, last changed first: a list that must not walk what all have.
create index conversations_assigned on conversations (tenant_id, agent_id, updated_at, id) where agent_id is not null;
{{sqlite
analyze sqlite_schema;
}}
