-- Whether a tag says what a conversation is about or only something about it.
alter table tags add column type text not null default 'topic';
