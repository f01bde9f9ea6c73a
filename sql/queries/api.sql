-- What programs ask on top of the screens. Read only: common/insights runs these, in one short transaction an answer;
-- nothing commits. Optional filters are "null or equal"; every list is limited by its caller.

-- name: found_runs
-- The latest runs that match, as in the screens' list. A run that its process left counts as `interrupted`.
SELECT r.*, t.*
FROM (
    SELECT r.*, work.alive
    FROM control.runs AS r
    LEFT JOIN control.leases AS l ON l.integration = r.integration AND l.account_key = r.account_key
    LEFT JOIN control.daemons AS d ON d.id = r.daemon_id
    CROSS JOIN LATERAL (
        SELECT l.run_id IS NOT DISTINCT FROM r.id AND l.expires_at > clock_timestamp() AND coalesce(
            d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds), true) AS alive
    ) AS work
    WHERE (%(integration)s::text IS NULL OR r.integration = %(integration)s)
      AND (%(mode)s::text IS NULL OR r.mode = %(mode)s)
      AND (%(entity)s::text IS NULL OR %(entity)s = ANY (r.entities))
      AND (%(before)s::timestamptz IS NULL OR r.queued_at < %(before)s)
      AND (%(state)s::text IS NULL OR %(state)s = CASE
               WHEN r.state IN ('running', 'stopping') AND work.alive IS NOT TRUE THEN 'interrupted'
               ELSE r.state END)
    ORDER BY r.queued_at DESC
    LIMIT %(limit)s
) AS r
LEFT JOIN LATERAL (
    SELECT sum(received)::bigint AS received, sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated,
           sum(unchanged)::bigint AS unchanged, sum(removed)::bigint AS removed, sum(dead)::bigint AS dead,
           (array_agg(entity ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS entity_now,
           (array_agg(page ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS page_now
    FROM control.run_entities AS e
    WHERE e.run_id = r.id
) AS t ON true
ORDER BY r.queued_at DESC

-- name: lock_holder
-- Who may write the account now; no row when nobody does.
SELECT l.run_id, l.holder AS daemon_id, l.term, l.acquired_at, l.expires_at, l.expires_at > clock_timestamp() AS holds,
       r.requested_by
FROM control.leases AS l
LEFT JOIN control.runs AS r ON r.id = l.run_id
WHERE l.integration = %(integration)s AND l.account_key = %(account_key)s AND l.holder IS NOT NULL

-- name: last_failures
-- The latest time each entity could not be read, within a month. One that a stop or a rate limit cut short has no error.
SELECT DISTINCT ON (e.entity) e.entity, e.state, e.error, e.run_id, coalesce(e.finished_at, r.finished_at) AS at
FROM control.runs AS r
JOIN control.run_entities AS e ON e.run_id = r.id
WHERE r.integration = %(integration)s AND r.account_key = %(account_key)s AND NOT r.dry_run
  AND r.queued_at > clock_timestamp() - interval '30 days' AND e.state IN ('partial', 'failed', 'forbidden')
  AND e.error IS NOT NULL AND coalesce(e.finished_at, r.finished_at) IS NOT NULL
ORDER BY e.entity, r.queued_at DESC
