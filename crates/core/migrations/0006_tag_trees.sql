-- The tag that a tag is a kind of.
alter table tags add column parent_id uuid;
create index tags_parent on tags (tenant_id, parent_id) where parent_id is not null;
