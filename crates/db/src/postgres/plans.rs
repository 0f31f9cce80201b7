//! What the planner is to know of tables that are still empty.
//!
//! Of a table without statistics it takes every condition for as good as any: to it one column of an index finds a row as
//! well as two, and a look-up by key may walk everything that shares the key's first column. Such a plan is made while
//! nothing is there and is kept until much is. So a table is shown a few rows before it gets its first: afterwards the
//! planner knows that what leads an index may be the same in all rows, and that what follows it narrows.

/// Tables of several indexes, with every first column of an index, are filled for a moment; a table that holds rows
/// already (say, of a dump that was restored) is only looked at. Does nothing where it was done before.
pub(super) const TEACH: &str = "
do $teach$
declare
  it record;
  head text;
  names text;
  samples text;
  has_rows boolean;
begin
  for it in select c.oid, c.relname from pg_class c where c.relnamespace = current_schema()::regnamespace
    and c.relkind = 'r' and c.reltuples < 0
    and (select count(*) from pg_index i where i.indrelid = c.oid and i.indnkeyatts > 1) > 1
  loop
    for head in select distinct a.attname from pg_index i join pg_attribute a on a.attrelid = i.indrelid
      and a.attnum = i.indkey[0] where i.indrelid = it.oid and i.indnkeyatts > 1
    loop
      execute format('alter table %I alter column %I set (n_distinct = 1)', it.relname, head);
    end loop;
    execute format('select exists (select 1 from %I)', it.relname) into has_rows;
    if not has_rows then
      select string_agg(quote_ident(a.attname), ', ' order by a.attnum),
        string_agg(case a.atttypid when 'bigint'::regtype then '-g' when 'uuid'::regtype then 'md5(g::text)::uuid'
          when 'boolean'::regtype then 'false' when 'double precision'::regtype then 'g'
          when 'bytea'::regtype then 'decode(md5(g::text), ''hex'')' when 'jsonb'::regtype then '''{}''::jsonb'
          else 'md5(g::text)' end, ', ' order by a.attnum)
        into names, samples from pg_attribute a where a.attrelid = it.oid and a.attnum > 0 and not a.attisdropped;
      execute format('insert into %I (%s) select %s from generate_series(1, 20) g', it.relname, names, samples);
    end if;
    execute format('analyze %I', it.relname);
    if not has_rows then
      execute format('delete from %I', it.relname);
    end if;
  end loop;
end
$teach$";
