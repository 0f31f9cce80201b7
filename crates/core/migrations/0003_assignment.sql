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

-- How far the log may be read (docs/adr/0013). On SQLite, with one writer, all of it.
create table horizons (name text primary key, position bigint not null) {{without_rowid}};
{{sqlite
insert into horizons (name, position) values ('log', 9223372036854775807);
}}
{{postgres
-- What entered the log before this and has no place in it yet.
update events set position = n.place from (select position as entered,
  (select coalesce(max(position), 0) from events where position > 0) + row_number() over (order by position desc) as place
  from events where position < 0) n where events.position = n.entered;
alter table events alter column position set increment by 1 set minvalue 1 set maxvalue 9223372036854775807
  set start with 1 restart with 1;
select setval('events_position_seq', greatest(max(position), 1), max(position) is not null) from events;
insert into horizons (name, position) select 'log', coalesce(max(position), 0) from events;

-- The lower half of a position, as a lock is named.
create function log_word(number bigint) returns integer language sql immutable as
  $$ select (((number + 2147483648) & 4294967295) - 2147483648)::integer $$;
-- The last position that was given to an event, committed or not.
create function log_given() returns bigint language sql volatile as
  $$ select case when is_called then last_value else last_value - 1 end from events_position_seq $$;
-- Who is about to write events says, before the first of them gets its position, up to where it will take none, until its
-- transaction ends: by a lock that it shares and so never waits for. Its first number tells whose log it is.
create function log_enter() returns trigger language plpgsql as $$
begin
  perform pg_advisory_xact_lock_shared(log_word(tg_relid::bigint),
    log_word(case when is_called then last_value else last_value - 1 end)) from events_position_seq;
  return null;
end $$;
create trigger log_enter before insert on events for each statement execute function log_enter();
-- Whoever else writes events now, and how many positions had been given after it said so when the last was `given`.
create function log_writers(given bigint) returns table (word integer, behind bigint) language sql volatile as $$
  select log_word(objid::bigint), (given - objid::bigint) & 4294967295 from pg_locks
  where locktype = 'advisory' and objsubid = 2 and classid = 'events'::regclass
  and database = (select oid from pg_database where datname = current_database())
  and pid is distinct from pg_backend_pid() and (given - objid::bigint) & 4294967295 < 2147483648
$$;
-- A position up to which each one is committed or never will be. What was given is read before the locks: who took one of
-- those positions had its lock then.
create function log_decided() returns bigint language plpgsql as $$
declare given bigint := log_given();
begin
  return given - (select coalesce(max(behind), 0) from log_writers(given));
end $$;
-- Waits for all that write events now; the last position that was given before.
create function log_settle() returns bigint language plpgsql as $$
declare
  given bigint := log_given();
  writer record;
begin
  for writer in select distinct word from log_writers(given) where behind > 0 order by word loop
    perform pg_advisory_xact_lock(log_word('events'::regclass::oid::bigint), writer.word);
  end loop;
  return given;
end $$;
}}

-- Of administrative changes: the actor's id beside the actor, to look for, and what led to it.
alter table audit add column actor_id text;
alter table audit add column cause text; -- JSON
