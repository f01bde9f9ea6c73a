-- The first stable views for ad-hoc SQL. Columns are only ever added.
-- depends: 0006.doorloop

CREATE VIEW report.runs AS
SELECT r.integration, r.account_key, r.id AS run_id, r.mode, r.dry_run, r.state, r.requested_by, r.queued_at, r.started_at,
       r.finished_at, r.finished_at - r.started_at AS took, r.requests, r.retries, r.error ->> 'code' AS error_code,
       sum(e.received) AS received, sum(e.inserted) AS inserted, sum(e.updated) AS updated,
       sum(e.unchanged) AS unchanged, sum(e.removed) AS removed, sum(e.dead) AS dead
FROM control.runs AS r
LEFT JOIN control.run_entities AS e ON e.run_id = r.id
GROUP BY r.id;
COMMENT ON VIEW report.runs IS 'One row per run with its totals over all entities.';

CREATE VIEW report.freshness AS
SELECT integration, account_key, entity, max(finished_at) AS last_complete_at,
       max(finished_at) FILTER (WHERE mode = 'backfill') AS last_full_copy_at
FROM control.passes
WHERE state = 'complete'
GROUP BY integration, account_key, entity;
COMMENT ON VIEW report.freshness IS 'When each entity was last read to its end.';
