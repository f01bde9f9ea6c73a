-- What the screens ask. Read only: common/insights runs these, in one short transaction an answer; nothing commits.
-- Every list is limited and every look-back clamped by its caller, so that an answer costs the same as tables grow.

-- name: now
-- The database's clock, by which leases, heartbeats and commands run out.
SELECT clock_timestamp() AS now

-- name: daemons
-- The daemons of the last week, the liveliest first.
SELECT id, kind, hostname, pid, version, started_at, heartbeat_at, heartbeat_seconds, stopped_at, doing, listening
FROM control.daemons
WHERE heartbeat_at > clock_timestamp() - interval '7 days'
ORDER BY stopped_at IS NULL DESC, heartbeat_at DESC
LIMIT %(limit)s

-- name: account
-- One vendor account with its breaker and what is lowered. A force or a lowering that has run out is over, whoever notices.
SELECT a.*, CASE WHEN b.forced_until <= clock_timestamp() THEN 'closed' ELSE b.state END AS breaker_state,
       b.opened_at AS breaker_opened_at, b.cool_down_until, b.forced_by, b.forced_reason, b.forced_until,
       l.lowered_to, l.lowered_until, l.lowered_by, l.lowered_reason
FROM control.accounts_synced AS a
LEFT JOIN control.breakers AS b USING (integration, account_key)
LEFT JOIN control.budgets AS l ON l.integration = a.integration AND l.account_key = a.account_key
    AND l.lowered_until > clock_timestamp()
WHERE a.integration = %(integration)s AND a.account_key = %(account_key)s

-- name: account_keys
-- The accounts of one integration.
SELECT account_key FROM control.accounts_synced WHERE integration = %(integration)s ORDER BY account_key LIMIT 50

-- name: source_kinds
-- Whose rows stand in this database: drill, live, or none yet.
SELECT DISTINCT coalesce(source_kind, settings ->> 'mode') AS kind FROM control.accounts_synced

-- name: last_ping
-- The newest ping, and since when pings have failed.
SELECT p.*,
       (SELECT min(f.at) FROM control.pings AS f
        WHERE f.integration = p.integration AND f.account_key = p.account_key AND NOT f.ok
          AND f.at > clock_timestamp() - interval '30 days'
          AND f.at > coalesce((SELECT max(g.at) FROM control.pings AS g
                               WHERE g.integration = p.integration AND g.account_key = p.account_key AND g.ok),
                              '-infinity')) AS failing_since
FROM control.pings AS p
WHERE p.integration = %(integration)s AND p.account_key = %(account_key)s
ORDER BY p.at DESC
LIMIT 1

-- name: complete_passes
-- When each entity was last read to its end, and by a full copy. A `since` reading leaves gaps, so it does not count.
SELECT e.entity, latest.finished_at AS last_complete_at, full_copy.finished_at AS last_full_at, full_copy.total
FROM unnest(%(entities)s::text[]) AS e (entity)
LEFT JOIN LATERAL (
    SELECT finished_at FROM control.passes
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = e.entity AND state = 'complete'
      AND mode IN ('delta', 'backfill')
    ORDER BY finished_at DESC
    LIMIT 1
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT finished_at, total FROM control.passes
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = e.entity AND state = 'complete'
      AND mode = 'backfill'
    ORDER BY finished_at DESC
    LIMIT 1
) AS full_copy ON true

-- name: totals_before
-- How large each entity's list was when it was last read whole, before a run began.
SELECT e.entity, latest.total
FROM unnest(%(entities)s::text[]) AS e (entity)
LEFT JOIN LATERAL (
    SELECT total FROM control.passes
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = e.entity AND state = 'complete'
      AND mode = 'backfill' AND finished_at < %(before)s
    ORDER BY finished_at DESC
    LIMIT 1
) AS latest ON true

-- name: entity_marks
-- What the latest runs did with each entity, oldest first. A dry run proves nothing about the copy.
SELECT r.id AS run_id, e.entity, e.state, e.finished_at, e.error, e.dead_new, r.state AS run_state,
       r.finished_at AS run_finished_at
FROM (
    SELECT id, state, queued_at, finished_at FROM control.runs
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND NOT dry_run AND mode <> 'requeue'
    ORDER BY queued_at DESC
    LIMIT %(limit)s
) AS r
JOIN control.run_entities AS e ON e.run_id = r.id
ORDER BY r.queued_at, e.position

-- name: failed_since
-- The newest failed run after the last success, and when that row of failures began.
SELECT error, finished_at, min(finished_at) OVER () AS failing_since
FROM control.runs
WHERE integration = %(integration)s AND account_key = %(account_key)s AND NOT dry_run AND state = 'failed'
  AND queued_at > clock_timestamp() - interval '30 days' AND finished_at > %(after)s
ORDER BY queued_at DESC
LIMIT 1

-- name: open_confirmations
-- What waits for an admin.
SELECT id, kind, entity, run_id, details, created_at
FROM control.confirmations
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = 'open'
ORDER BY created_at
LIMIT 20

-- name: open_dead_letters
-- How many records are put aside, counted up to a thousand.
SELECT count(*) AS open
FROM (
    SELECT FROM control.dead_letters
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND state IN ('open', 'queued')
    LIMIT 1000
) AS aside

-- name: last_slots
-- The last due times, from which the next ones follow.
SELECT kind, max(due_at) AS due_at
FROM control.schedule_slots
WHERE integration = %(integration)s AND account_key = %(account_key)s AND due_at > clock_timestamp() - interval '2 days'
GROUP BY kind

-- name: runs
-- The latest runs with their totals; `alive` tells a run whose process still holds its lease and was heard of
-- within three heartbeats: a lease may be set to last longer.
SELECT r.*, l.run_id IS NOT DISTINCT FROM r.id AND l.expires_at > clock_timestamp()
       AND coalesce(d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds), true) AS alive, t.*
FROM (
    SELECT * FROM control.runs
    WHERE integration = %(integration)s AND account_key = %(account_key)s
      AND (%(before)s::timestamptz IS NULL OR queued_at < %(before)s)
    ORDER BY queued_at DESC
    LIMIT %(limit)s
) AS r
LEFT JOIN control.leases AS l ON l.integration = r.integration AND l.account_key = r.account_key
LEFT JOIN control.daemons AS d ON d.id = r.daemon_id
LEFT JOIN LATERAL (
    SELECT sum(received)::bigint AS received, sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated,
           sum(unchanged)::bigint AS unchanged, sum(removed)::bigint AS removed, sum(dead)::bigint AS dead,
           (array_agg(entity ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS entity_now,
           (array_agg(page ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS page_now
    FROM control.run_entities AS e
    WHERE e.run_id = r.id
) AS t ON true
ORDER BY r.queued_at DESC

-- name: run
-- One run, as in the list.
SELECT r.*, l.run_id IS NOT DISTINCT FROM r.id AND l.expires_at > clock_timestamp()
       AND coalesce(d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds), true) AS alive, t.*
FROM control.runs AS r
LEFT JOIN control.leases AS l ON l.integration = r.integration AND l.account_key = r.account_key
LEFT JOIN control.daemons AS d ON d.id = r.daemon_id
LEFT JOIN LATERAL (
    SELECT sum(received)::bigint AS received, sum(inserted)::bigint AS inserted, sum(updated)::bigint AS updated,
           sum(unchanged)::bigint AS unchanged, sum(removed)::bigint AS removed, sum(dead)::bigint AS dead,
           (array_agg(entity ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS entity_now,
           (array_agg(page ORDER BY position) FILTER (WHERE e.state = 'running'))[1] AS page_now
    FROM control.run_entities AS e
    WHERE e.run_id = r.id
) AS t ON true
WHERE r.id = %(run_id)s

-- name: run_parts
-- What one run did per entity.
SELECT entity, state, resumed_at_page, page, pages_expected, total, received, inserted, updated, unchanged, removed, dead,
       dead_new, duplicates, started_at, finished_at, error, warnings
FROM control.run_entities
WHERE run_id = %(run_id)s
ORDER BY position

-- name: page_marks
-- When a run's latest pages were committed and what they brought, oldest first.
SELECT ts, rows FROM (
    SELECT ts, coalesce(rows, 0) AS rows FROM control.events
    WHERE run_id = %(run_id)s AND code = 'page' AND ts > clock_timestamp() - interval '10 minutes'
    ORDER BY ts DESC
    LIMIT %(limit)s
) AS latest
ORDER BY ts

-- name: last_line_of_run
-- The newest line of a run that says what it is doing.
SELECT ts, code, msg FROM control.events
WHERE run_id = %(run_id)s AND ts > clock_timestamp() - interval '1 day'
ORDER BY ts DESC
LIMIT 1

-- name: log_head
-- The last event id given out.
SELECT last_id FROM control.event_head

-- name: log_lines
-- The log from one id on. Ids are dense and in the order of commits, so whoever goes on after the last one misses nothing.
SELECT id, ts, entity, page, rows, level, code, msg, run_id, data -> 'rateLimit' AS rate_limit
FROM control.events
WHERE id >= %(first_id)s
ORDER BY id
LIMIT %(limit)s

-- name: rate_samples
-- The latest samples of the request budget, newest first.
SELECT ts, decision, waited_seconds, source, request_limit, remaining, reset_at, used_minute, limit_minute, used_hour,
       limit_hour
FROM control.rate_limit_samples
WHERE integration = %(integration)s AND account_key = %(account_key)s
  AND ts > clock_timestamp() - make_interval(hours => %(hours)s)
ORDER BY ts DESC
LIMIT %(limit)s

-- name: command
-- What became of a command, and of the run it started.
SELECT c.id, c.integration, c.account_key, c.action, c.actor, c.created_at, c.expires_at, c.state, c.claimed_at,
       c.finished_at, c.result, c.run_id, r.state AS run_state,
       c.state = 'pending' AND c.expires_at <= clock_timestamp() AS ran_out,
       extract(epoch FROM c.expires_at - c.created_at)::double precision AS waited_for_seconds
FROM control.commands AS c
LEFT JOIN control.runs AS r ON r.id = c.run_id
WHERE c.id = %(command_id)s

-- name: table_counters
-- How many live rows each synced table holds by Postgres' own counting, and a number that moves with every change.
SELECT c.relname AS entity,
       greatest(s.n_live_tup, c.reltuples::bigint, 0) AS estimate,
       s.n_tup_ins + s.n_tup_upd + s.n_tup_del AS changes
FROM pg_stat_user_tables AS s
JOIN pg_class AS c ON c.oid = s.relid
WHERE s.schemaname = %(integration)s AND s.relname = ANY (%(entities)s)
