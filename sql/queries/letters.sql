-- What the screens ask about dead letters and what was done with them. Read only: common/insights runs these; nothing commits.

-- name: letters
-- Letters that match, newest first; optional filters are "null or equal".
SELECT id, entity, record_id, code, reason, fingerprint, page, run_id, state, attempts, first_seen_at, last_seen_at,
       finished_at, finished_by, finish_reason
FROM control.dead_letters
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = %(state)s
  AND (%(entity)s::text IS NULL OR entity = %(entity)s)
  AND (%(code)s::text IS NULL OR code = %(code)s)
  AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s))
  AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC
LIMIT %(limit)s

-- name: count
-- How many match, and the newest one's id: what a wish for all of them carries.
SELECT count(*) AS number, max(id) AS last_id
FROM control.dead_letters
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = %(state)s
  AND (%(entity)s::text IS NULL OR entity = %(entity)s)
  AND (%(code)s::text IS NULL OR code = %(code)s)
  AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)
  AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s))

-- name: groups
-- The newest letters by cause, the largest group first. Counted among so many, so that an answer costs the same as they grow.
SELECT g.*, d.reason
FROM (
    SELECT entity, fingerprint, code, count(*) AS number, max(id) AS last_id, min(first_seen_at) AS first_seen_at,
           max(last_seen_at) AS last_seen_at
    FROM (
        SELECT id, entity, fingerprint, code, first_seen_at, last_seen_at FROM control.dead_letters
        WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = %(state)s
        ORDER BY id DESC
        LIMIT %(among)s
    ) AS newest
    GROUP BY entity, fingerprint, code
    ORDER BY number DESC, last_id DESC
    LIMIT %(limit)s
) AS g
JOIN control.dead_letters AS d ON d.id = g.last_id
ORDER BY g.number DESC, g.last_id DESC

-- name: letter
-- One letter with its payload.
SELECT id, integration, entity, record_id, code, reason, fingerprint, page, run_id, state, attempts, first_seen_at,
       last_seen_at, finished_at, finished_by, finish_reason, payload, payload_hash
FROM control.dead_letters
WHERE id = %(id)s

-- name: actions
-- The latest requeues and discards, newest first, and what keeps back a requeue that has not begun: as bulk_actions.sql judges
-- whether it may (`unfinished`).
SELECT b.id, b.action, b.filter, b.reason, b.actor, b.state, b.counted, b.done, b.verdict, b.created_at, b.started_at,
       b.finished_at, b.cancel_asked_by, b.run_id, kept.*
FROM control.bulk_actions AS b
LEFT JOIN control.accounts_synced AS a USING (integration, account_key)
LEFT JOIN LATERAL (
    SELECT CASE
               WHEN a.held THEN 'ACCOUNT_HELD'
               WHEN a.blocked_until > clock_timestamp() THEN a.blocked_code
               WHEN b.not_before > clock_timestamp() THEN 'REQUEUE_SHARE_SPENT'
           END AS waits_for,
           CASE WHEN a.held IS NOT TRUE THEN
               greatest(b.not_before, CASE WHEN a.blocked_until > clock_timestamp() THEN a.blocked_until END)
           END AS not_before,
           (SELECT f ->> 'cause' FROM jsonb_array_elements(a.findings) AS f
            WHERE a.held AND f -> 'holds' = 'true' LIMIT 1) AS held_by
    WHERE b.state = 'queued' AND b.action = 'requeue'
) AS kept ON true
WHERE b.integration = %(integration)s AND b.account_key = %(account_key)s
  AND (%(id)s::uuid IS NULL OR b.id = %(id)s)
  AND (%(before)s::timestamptz IS NULL OR b.created_at < %(before)s)
ORDER BY b.created_at DESC
LIMIT %(limit)s

-- name: outcomes
-- How many letters of an action ended how so far.
SELECT outcome, count(*) AS letters FROM control.bulk_letters WHERE bulk_id = %(id)s AND outcome IS NOT NULL GROUP BY outcome

-- name: error_groups
-- Alike errors, the latest first; those of the account's runs of the last days.
SELECT fingerprint, fingerprint_version, code, status, path_template, snippet, first_seen_at, last_seen_at, count, run_ids
FROM control.error_groups
WHERE integration = %(integration)s AND account_key = %(account_key)s
  AND last_seen_at > clock_timestamp() - make_interval(hours => %(hours)s)
ORDER BY last_seen_at DESC
LIMIT %(limit)s

-- name: schema_diffs
-- What a sample of each entity's records holds against our columns.
SELECT entity, sampled, diff, created_at, run_id FROM control.schema_diffs
WHERE integration = %(integration)s AND account_key = %(account_key)s
ORDER BY entity
LIMIT 50

-- name: dry_run
-- What a dry run found, per entity in reading order.
SELECT d.entity, d.report, d.created_at
FROM control.dry_run_reports AS d
JOIN control.run_entities AS e ON e.run_id = d.run_id AND e.entity = d.entity
WHERE d.run_id = %(run_id)s
ORDER BY e.position
