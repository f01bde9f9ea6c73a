-- Events and samples, written by the reporter's flushes; each flush is a transaction of its own, never a page's.

-- name: take_event_ids
-- Reserve the next ids, and have readers told once per flush, whatever its size. The row stays locked until the flush
-- commits, so ids become visible in order, without gaps.
UPDATE control.event_head SET last_id = last_id + %(count)s
RETURNING last_id, pg_notify('icc_events', last_id::text) AS told

-- name: copy_events
-- The lines of a flush.
COPY control.events (id, ts, integration, account_key, run_id, entity, page, level, code, msg, rows, data) FROM STDIN

-- name: copy_samples
-- Rate-limit samples of a flush.
COPY control.rate_limit_samples (ts, integration, account_key, run_id, decision, waited_seconds, source, request_limit,
                                 remaining, reset_at, used_minute, limit_minute, used_hour, limit_hour) FROM STDIN

-- name: roll_up
-- Add a flush to its five-minute bucket.
INSERT INTO control.series_5m (bucket, integration, account_key, entity, requests, failures, rows, dead)
VALUES (date_bin('5 minutes', %(ts)s, 'epoch'), %(integration)s, %(account_key)s, %(entity)s, %(requests)s, %(failures)s,
        %(rows)s, %(dead)s)
ON CONFLICT (bucket, integration, account_key, entity) DO UPDATE
SET requests = control.series_5m.requests + excluded.requests, failures = control.series_5m.failures + excluded.failures,
    rows = control.series_5m.rows + excluded.rows, dead = control.series_5m.dead + excluded.dead

-- name: make_partitions
-- Partitions for the coming days.
SELECT control.make_event_partitions(%(days_ahead)s) AS made

-- name: old_partitions
-- Days of events that lie wholly before the retention limit, and how each stands: one whose dropping was cut short is
-- `leaving`, or `detached` already.
SELECT c.relname AS name,
       CASE WHEN i.inhrelid IS NULL THEN 'detached' WHEN i.inhdetachpending THEN 'leaving' ELSE 'attached' END AS stands
FROM pg_class AS c
LEFT JOIN pg_inherits AS i ON i.inhrelid = c.oid AND i.inhparent = 'control.events'::regclass
WHERE c.relnamespace = 'control'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^events_[0-9]{8}$'
  -- As text: the days sort as they read.
  AND c.relname < 'events_' || to_char((now() AT TIME ZONE 'UTC')::date - %(days)s::integer, 'YYYYMMDD')
-- One that is leaving comes first: no other can be detached before.
ORDER BY coalesce(i.inhdetachpending, false) DESC, c.relname

-- name: prune
-- Samples, pings and series older than the retention limit, and of each account's groups of alike errors all but the latest: a
-- vendor whose every answer is worded anew would fill the table.
WITH old_samples AS (
    DELETE FROM control.rate_limit_samples WHERE ts < now() - make_interval(days => %(days)s) RETURNING 1),
old_pings AS (
    DELETE FROM control.pings WHERE at < now() - make_interval(days => %(days)s) RETURNING 1),
old_series AS (
    DELETE FROM control.series_5m WHERE bucket < now() - make_interval(days => %(days)s) RETURNING 1),
old_groups AS (
    DELETE FROM control.error_groups AS g
    USING (
        SELECT integration, account_key, fingerprint,
               row_number() OVER (PARTITION BY integration, account_key ORDER BY last_seen_at DESC) AS place
        FROM control.error_groups) AS ranked
    WHERE ranked.place > %(error_groups)s
      AND (g.integration, g.account_key, g.fingerprint) = (ranked.integration, ranked.account_key, ranked.fingerprint)
    RETURNING 1)
SELECT (SELECT count(*) FROM old_samples) AS samples, (SELECT count(*) FROM old_pings) AS pings,
       (SELECT count(*) FROM old_series) AS series, (SELECT count(*) FROM old_groups) AS error_groups

-- name: group_error
-- An error joins its group; the runs it touched are kept, the latest twenty.
INSERT INTO control.error_groups AS g (integration, account_key, fingerprint, fingerprint_version, code, status, path_template,
                                       snippet, run_ids)
VALUES (%(integration)s, %(account_key)s, %(fingerprint)s, %(fingerprint_version)s, %(code)s, %(status)s, %(path_template)s,
        %(snippet)s, %(run_ids)s::uuid[])
ON CONFLICT (integration, account_key, fingerprint) DO UPDATE
SET last_seen_at = clock_timestamp(), count = g.count + 1, snippet = excluded.snippet,
    run_ids = CASE WHEN excluded.run_ids <@ g.run_ids THEN g.run_ids ELSE (excluded.run_ids || g.run_ids)[1:20] END
