-- Of administrative changes: from where.
alter table audit add column address text;
