-- The hash of a row is of the bytes its record came in: while they are the same, nothing in it has to be looked at. A digest
-- takes the place of the last page's ids, which were most of what an unchanged reading wrote.
-- depends: 0008.command-writers

COMMENT ON COLUMN doorloop.owners._payload_hash IS 'Of the bytes the record came in; other bytes that say the same are no change.';
COMMENT ON COLUMN doorloop.properties._payload_hash IS 'Of the bytes the record came in; other bytes that say the same are no change.';
COMMENT ON COLUMN doorloop.units._payload_hash IS 'Of the bytes the record came in; other bytes that say the same are no change.';
COMMENT ON COLUMN doorloop.leases._payload_hash IS 'Of the bytes the record came in; other bytes that say the same are no change.';
COMMENT ON COLUMN doorloop.tenants._payload_hash IS 'Of the bytes the record came in; other bytes that say the same are no change.';

-- Rows up to a quarter of a page stay as they are: compressing each record cost as much as storing it (measured).
ALTER TABLE doorloop.owners SET (toast_tuple_target = 4080);
ALTER TABLE doorloop.properties SET (toast_tuple_target = 4080);
ALTER TABLE doorloop.units SET (toast_tuple_target = 4080);
ALTER TABLE doorloop.leases SET (toast_tuple_target = 4080);
ALTER TABLE doorloop.tenants SET (toast_tuple_target = 4080);

ALTER TABLE control.passes ADD COLUMN last_page_digest text;
ALTER TABLE control.passes DROP COLUMN last_page_ids;
COMMENT ON COLUMN control.passes.last_page_digest IS
    'Of the ids of the last page read, by which a resume knows whether the list is still the same.';
