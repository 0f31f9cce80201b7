-- What an import keeps of an inbox: the key of its clients' identity hashes, sealed. Without one, the key follows from the
-- installation's.
alter table inboxes add column identity_key bytea;
