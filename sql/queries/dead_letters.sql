-- Records put aside. common/store/dead_letters.py runs these inside a page's transaction; the caller commits.

-- name: put_aside
-- Seen again: counted, not stored again; one that is queued stays so, since its requeue or discard is still to come.
-- A discarded one stays so unless it comes with another hash; but what has an open letter is that one, seen again, also when
-- it comes as it was once discarded. A run counts once, however often it reads a page.
INSERT INTO control.dead_letters (integration, account_key, entity, record_id, payload, payload_hash, code, reason,
                                  fingerprint, page, run_id)
SELECT %(integration)s, %(account_key)s, %(entity)s, l.record_id, l.payload, l.payload_hash, l.code, l.reason, l.fingerprint,
       %(page)s, %(run_id)s
FROM unnest(%(record_ids)s::text[], %(payloads)s::text[], %(hashes)s::text[], %(codes)s::text[], %(reasons)s::text[],
            %(fingerprints)s::text[]) AS l (record_id, payload, payload_hash, code, reason, fingerprint)
WHERE NOT EXISTS (
    SELECT FROM control.dead_letters AS d
    WHERE d.integration = %(integration)s AND d.account_key = %(account_key)s AND d.entity = %(entity)s
      AND d.record_id IS NOT DISTINCT FROM l.record_id AND d.payload_hash = l.payload_hash AND d.state = 'discarded')
   OR EXISTS (
    SELECT FROM control.dead_letters AS o
    WHERE o.integration = %(integration)s AND o.account_key = %(account_key)s AND o.entity = %(entity)s
      AND coalesce(o.record_id, o.payload_hash) = coalesce(l.record_id, l.payload_hash) AND o.state IN ('open', 'queued'))
ON CONFLICT (integration, account_key, entity, (coalesce(record_id, payload_hash))) WHERE state IN ('open', 'queued')
DO UPDATE SET attempts = control.dead_letters.attempts
        + (control.dead_letters.run_id IS DISTINCT FROM excluded.run_id)::int,
    last_seen_at = clock_timestamp(), payload = excluded.payload,
    payload_hash = excluded.payload_hash, code = excluded.code, reason = excluded.reason,
    fingerprint = excluded.fingerprint, page = excluded.page, run_id = excluded.run_id
RETURNING (xmax = 0) AS is_new

-- name: recover
-- Records that came good.
UPDATE control.dead_letters
SET state = 'recovered', finished_at = clock_timestamp(), finish_reason = 'a sync brought it good'
WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s
  AND record_id = ANY (%(ids)s) AND state IN ('open', 'queued')

-- name: any_open
-- Whether looking for recovered ones is worth a statement per page.
SELECT EXISTS (
    SELECT FROM control.dead_letters
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s
      AND state IN ('open', 'queued')) AS any_open
