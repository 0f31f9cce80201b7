-- Whether a tag says what a conversation is about or only something about it, and the tag that it is a kind of.
alter table tags add column type text not null default 'topic';
alter table tags add column parent_id uuid;
create index tags_parent on tags (tenant_id, parent_id) where parent_id is not null;
