-- A second hash, of the bytes a record came in: while they are the same, nothing in it has to be looked at. And a digest in
-- place of the last page's ids, which were most of what an unchanged reading wrote.
-- depends: 0008.command-writers

ALTER TABLE doorloop.owners ADD COLUMN _wire_hash bytea;
ALTER TABLE doorloop.staging_owners ADD COLUMN _wire_hash bytea;
COMMENT ON COLUMN doorloop.owners._wire_hash IS 'Of the bytes of the last change; other bytes with the same _payload_hash are no change.';
ALTER TABLE doorloop.properties ADD COLUMN _wire_hash bytea;
ALTER TABLE doorloop.staging_properties ADD COLUMN _wire_hash bytea;
COMMENT ON COLUMN doorloop.properties._wire_hash IS 'Of the bytes of the last change; other bytes with the same _payload_hash are no change.';
ALTER TABLE doorloop.units ADD COLUMN _wire_hash bytea;
ALTER TABLE doorloop.staging_units ADD COLUMN _wire_hash bytea;
COMMENT ON COLUMN doorloop.units._wire_hash IS 'Of the bytes of the last change; other bytes with the same _payload_hash are no change.';
ALTER TABLE doorloop.leases ADD COLUMN _wire_hash bytea;
ALTER TABLE doorloop.staging_leases ADD COLUMN _wire_hash bytea;
COMMENT ON COLUMN doorloop.leases._wire_hash IS 'Of the bytes of the last change; other bytes with the same _payload_hash are no change.';
ALTER TABLE doorloop.tenants ADD COLUMN _wire_hash bytea;
ALTER TABLE doorloop.staging_tenants ADD COLUMN _wire_hash bytea;
COMMENT ON COLUMN doorloop.tenants._wire_hash IS 'Of the bytes of the last change; other bytes with the same _payload_hash are no change.';

ALTER TABLE control.passes ADD COLUMN last_page_digest text;
ALTER TABLE control.passes DROP COLUMN last_page_ids;
COMMENT ON COLUMN control.passes.last_page_digest IS
    'Of the ids of the last page read, by which a resume knows whether the list is still the same.';
