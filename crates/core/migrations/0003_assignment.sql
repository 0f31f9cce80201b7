-- What an import keeps of an inbox: the key of its clients' identity hashes, sealed. Without one, the key follows from the
-- installation's.
alter table inboxes add column identity_key bytea;
-- Conversations that find their agent by themselves.
alter table users add column seen_until bigint not null default 0; -- they count as there until then
alter table inboxes add column is_auto_assigned boolean not null default false; -- its conversations find their agent by themselves
alter table inboxes add column agent_capacity bigint; -- open conversations that an agent gets so, at most
update inboxes set is_auto_assigned = true where settings like '%"enable_auto_assignment":true%';
alter table teams add column is_least_loaded boolean not null default false; -- the one with the fewest, not the one whose turn it is
alter table teams add column agent_capacity bigint;

-- Conversations that wait for an agent, with the inbox and the team in which one is sought; the nil id for no team.
create table assignment_queue (
  tenant_id bigint not null,
  conversation_id uuid not null,
  inbox_id uuid not null,
  team_id uuid not null,
  since bigint not null,
  primary key (tenant_id, conversation_id)
) {{without_rowid}};
create index assignment_queue_place on assignment_queue (tenant_id, inbox_id, team_id, since, conversation_id);

-- When users got their last conversation so, as a number that grows: whoever has the lowest is next.
create table assignment_turns (
  tenant_id bigint not null,
  user_id uuid not null,
  turn bigint not null,
  primary key (tenant_id, user_id)
) {{without_rowid}};
{{sqlite
insert into sqlite_stat1 (tbl, idx, stat) values
  ('assignment_queue', 'assignment_queue', '10000 10000 1'),
  ('assignment_queue', 'assignment_queue_place', '10000 10000 1000 500 2 1');
analyze sqlite_schema;
}}
