-- A run that its process left counts as interrupted in report.runs, too: nobody living could write that.
-- depends: 0020.partitions-one-by-one

CREATE OR REPLACE VIEW report.runs AS
SELECT r.integration, r.account_key, r.id AS run_id, r.mode, r.dry_run,
       CASE WHEN r.state IN ('running', 'stopping') AND NOT EXISTS (
           SELECT FROM control.leases AS l
           LEFT JOIN control.daemons AS d ON d.id = r.daemon_id
           WHERE l.integration = r.integration AND l.account_key = r.account_key AND l.run_id = r.id
             AND l.expires_at > clock_timestamp()
             AND coalesce(d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds), true))
       THEN 'interrupted' ELSE r.state END AS state,
       r.requested_by, r.queued_at, r.started_at,
       r.finished_at, r.finished_at - r.started_at AS took, r.requests, r.retries, r.error ->> 'code' AS error_code,
       sum(e.received) AS received, sum(e.inserted) AS inserted, sum(e.updated) AS updated,
       sum(e.unchanged) AS unchanged, sum(e.removed) AS removed, sum(e.dead) AS dead
FROM control.runs AS r
LEFT JOIN control.run_entities AS e ON e.run_id = r.id
GROUP BY r.id;
