-- A second hash, of the bytes a record came in: while they are the same, nothing in it has to be looked at.
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
