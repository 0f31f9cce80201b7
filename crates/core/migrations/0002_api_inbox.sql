-- What the API inbox (Chatwoot's contract) brings: tables and columns of its own nouns.

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

-- All of the state that an event froze, for formats that show more than the native one; null where nobody asks for it.
alter table events add column state text;
-- Somebody asks for it in this partition: there is, or was, an endpoint of such a format.
alter table tenants add column keeps_state boolean not null default false;
