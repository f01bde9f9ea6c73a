-- Runs, their entities, passes and the lease. common/store/{runs,passes,leases}.py run these; the caller commits.

-- name: ensure_lease
-- The lease row exists from the first claim on.
INSERT INTO control.leases (integration, account_key) VALUES (%(integration)s, %(account_key)s) ON CONFLICT DO NOTHING

-- name: read_lease
-- Who holds the account, by the database's clock; `daemon` facts tell a dead process of this very machine.
SELECT l.*, l.expires_at <= clock_timestamp() AS ran_out, d.hostname, d.boot_id, d.pid, d.process_started_at,
       d.stopped_at IS NOT NULL AS daemon_stopped, r.requested_by, r.started_at
FROM control.leases AS l
LEFT JOIN control.daemons AS d ON d.id = l.holder
LEFT JOIN control.runs AS r ON r.id = l.run_id
WHERE l.integration = %(integration)s AND l.account_key = %(account_key)s

-- name: renew_lease
-- Still here; no row when the term moved on.
UPDATE control.leases
SET expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
WHERE integration = %(integration)s AND account_key = %(account_key)s AND term = %(term)s AND run_id = %(run_id)s
RETURNING term

-- name: fence
-- The last statement of every page transaction: locks the lease row and checks its term (law 1). Checked first, a frozen
-- writer could commit after its successor began.
SELECT term FROM control.leases
WHERE integration = %(integration)s AND account_key = %(account_key)s AND term = %(term)s AND run_id = %(run_id)s
FOR SHARE

-- name: fence_without_waiting
-- The same, and the commit does not wait for the disk: set here, it costs no statement of its own.
SELECT term, set_config('synchronous_commit', 'off', true) FROM control.leases
WHERE integration = %(integration)s AND account_key = %(account_key)s AND term = %(term)s AND run_id = %(run_id)s
FOR SHARE

-- name: free_lease
-- The run is over; the term stays, so that nothing old can write.
UPDATE control.leases
SET holder = NULL, run_id = NULL, acquired_at = NULL, expires_at = NULL
WHERE integration = %(integration)s AND account_key = %(account_key)s AND term = %(term)s AND run_id = %(run_id)s
RETURNING term

-- name: revoke_lease
-- Take the right to write away without taking it oneself (Stop on an owner that does not answer).
UPDATE control.leases
SET term = term + 1, holder = NULL, run_id = NULL, acquired_at = NULL, expires_at = NULL
WHERE integration = %(integration)s AND account_key = %(account_key)s AND term = %(term)s AND run_id = %(run_id)s
RETURNING term

-- name: free_forgotten
-- Leases that have run out and whose run is over: who ends a run by hand, with SQL, forgets its lease.
UPDATE control.leases AS l
SET term = l.term + 1, holder = NULL, run_id = NULL, acquired_at = NULL, expires_at = NULL
WHERE l.expires_at <= clock_timestamp()
  AND NOT EXISTS (SELECT FROM control.runs AS r WHERE r.id = l.run_id AND r.state IN ('running', 'stopping'))

-- name: terminate_backends
-- The server-side half of an old writer: no timeout cuts a COPY short.
SELECT count(pg_terminate_backend(pid)) AS ended FROM pg_stat_activity
WHERE application_name = %(name)s AND pid <> pg_backend_pid()

-- name: begin_run
-- A lease that nobody holds, its term raised, and the run that has it from now on: no row, and nothing written, when it is
-- held, when rows of the other kind are here, or while another run is active that has lost its lease. Looked at and taken
-- at once: who comes second waits for the lease, as whoever forgets the account's rows does, and finds its holder.
-- Together, since a command's run is to begin soon. One reading of the clock: by two it would have begun before it queued.
WITH lease AS (
    UPDATE control.leases AS l
    SET term = l.term + 1, holder = %(daemon_id)s, run_id = %(id)s, acquired_at = clock_timestamp(),
        expires_at = clock_timestamp() + make_interval(secs => %(lease_seconds)s)
    FROM control.accounts_synced AS a
    WHERE l.integration = %(integration)s AND l.account_key = %(account_key)s AND l.holder IS NULL
      AND a.integration = l.integration AND a.account_key = l.account_key
      AND (a.source_kind IS NULL OR a.source_kind = %(source_kind)s)
      AND NOT EXISTS (
          SELECT FROM control.runs AS r
          WHERE r.integration = l.integration AND r.account_key = l.account_key AND r.state IN ('running', 'stopping'))
    RETURNING l.integration, l.account_key, l.term, l.acquired_at),
source AS (
    UPDATE control.accounts_synced AS a SET source_kind = %(source_kind)s
    FROM lease
    WHERE a.integration = lease.integration AND a.account_key = lease.account_key),
run AS (
    INSERT INTO control.runs (id, integration, account_key, mode, entities, since, dry_run, state, trigger, requested_by,
                              command_id, continues_run_id, daemon_id, term, queued_at, started_at, version)
    SELECT %(id)s, %(integration)s, %(account_key)s, %(mode)s, %(entities)s, %(since)s, %(dry_run)s, 'running',
           %(trigger)s, %(requested_by)s, %(command_id)s, %(continues_run_id)s, %(daemon_id)s, term, acquired_at,
           acquired_at, %(version)s
    FROM lease)
SELECT term FROM lease

-- name: insert_run_entities
-- What it is going to read, in order.
INSERT INTO control.run_entities (run_id, entity, position)
SELECT %(run_id)s, entity, position FROM unnest(%(entities)s::text[]) WITH ORDINALITY AS e (entity, position)

-- name: finish_run
-- The end of a run under its own term; no row when somebody else ended it.
UPDATE control.runs
SET state = %(state)s, finished_at = clock_timestamp(), error = %(error)s, warnings = %(warnings)s,
    blocked_until = %(blocked_until)s, requests = %(requests)s, retries = %(retries)s, waited_seconds = %(waited_seconds)s
WHERE id = %(run_id)s AND term = %(term)s AND state IN ('running', 'stopping')
RETURNING started_at, finished_at

-- name: end_run_for
-- The end of a run written by somebody else: its owner died or did not stop in time, and had not yet written what it did:
-- that is counted from its telemetry, or was noted by the run itself (a requeue). Samples are stamped by the owner's
-- clock, which may be behind.
UPDATE control.runs AS r
SET state = %(state)s, finished_at = clock_timestamp(), error = coalesce(%(error)s, error),
    requests = greatest(r.requests, told.requests), waited_seconds = told.waited_seconds,
    retries = (SELECT count(*) FROM control.events AS e WHERE e.run_id = r.id AND e.code = 'request_retried')
FROM (
    SELECT count(*) AS requests, coalesce(sum(s.waited_seconds), 0) AS waited_seconds
    FROM control.runs AS own
    JOIN control.rate_limit_samples AS s USING (integration, account_key)
    WHERE own.id = %(run_id)s AND s.run_id = own.id AND s.decision <> 'deferred'
      AND s.ts > own.started_at - interval '1 hour') AS told
WHERE r.id = %(run_id)s AND r.state IN ('running', 'stopping')
RETURNING r.id

-- name: close_open_entities
-- Entities a run did not get to the end of; the one that it failed at before anything of it came is failed as well.
UPDATE control.run_entities
SET state = CASE WHEN state = 'waiting' THEN 'skipped' WHEN %(has_failed)s AND page = 0 THEN 'failed' ELSE 'partial' END,
    finished_at = clock_timestamp(),
    error = coalesce(error, CASE state WHEN 'running' THEN %(error)s::jsonb END)
WHERE run_id = %(run_id)s AND state IN ('waiting', 'running')

-- name: where_it_was
-- The entity a dead run was reading, and its last committed page.
SELECT entity, page FROM control.run_entities
WHERE run_id = %(run_id)s AND state = 'running'

-- name: active
-- The account's active run.
SELECT id, term FROM control.runs
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state IN ('running', 'stopping')

-- name: ask_to_stop
-- An active run becomes `stopping`; asked twice, the first one counts.
UPDATE control.runs
SET state = 'stopping', stop_requested_at = coalesce(stop_requested_at, clock_timestamp()),
    stop_requested_by = coalesce(stop_requested_by, %(by)s)
WHERE id = %(run_id)s AND state IN ('running', 'stopping')
RETURNING id

-- name: notify_run
-- Tell the owner of a run that something changed about it.
SELECT pg_notify('icc_runs', %(run_id)s)

-- name: run_state
-- State, who asked to stop, and how it ended.
SELECT state, stop_requested_by, error, blocked_until FROM control.runs WHERE id = %(run_id)s

-- name: begin_entity
-- An entity's turn has come; where it is read from is still to be found, and finding it may fail.
UPDATE control.run_entities SET state = 'running', started_at = clock_timestamp()
WHERE run_id = %(run_id)s AND entity = %(entity)s AND state = 'waiting'

-- name: start_entity
-- An entity is being read now, in this pass. What somebody else has ended stays so: the fence then says why.
UPDATE control.run_entities
SET state = 'running', started_at = coalesce(started_at, clock_timestamp()), pass_id = %(pass_id)s,
    resumed_at_page = %(resumed_at_page)s, page = %(page)s
WHERE run_id = %(run_id)s AND entity = %(entity)s AND state IN ('waiting', 'running')

-- name: count_page
-- The counters of a page, in the page's own transaction.
UPDATE control.run_entities
SET page = %(page)s, pages_expected = %(pages_expected)s, total = %(total)s,
    received = received + %(received)s, inserted = inserted + %(inserted)s, updated = updated + %(updated)s,
    unchanged = unchanged + %(unchanged)s, dead = dead + %(dead)s, dead_new = dead_new + %(dead_new)s,
    duplicates = duplicates + %(duplicates)s
WHERE run_id = %(run_id)s AND entity = %(entity)s
RETURNING pg_current_xact_id()::text AS xact_id

-- name: count_anew
-- An entity's list is read from its beginning once more. What was written stays counted, unless nothing was: in a dry run.
UPDATE control.run_entities
SET received = 0, unchanged = 0, dead = 0, duplicates = 0,
    inserted = CASE WHEN %(keeps_written)s THEN inserted ELSE 0 END,
    updated = CASE WHEN %(keeps_written)s THEN updated ELSE 0 END
WHERE run_id = %(run_id)s AND entity = %(entity)s
RETURNING inserted + updated AS written

-- name: is_committed
-- Whether a transaction whose COMMIT was never answered went through.
SELECT pg_xact_status(%(xact_id)s::xid8) = 'committed' AS is_committed

-- name: finish_entity
-- The end of an entity that nobody else has ended.
UPDATE control.run_entities
SET state = %(state)s, finished_at = clock_timestamp(), error = %(error)s, warnings = %(warnings)s,
    removed = %(removed)s, total = coalesce(%(total)s, total), unchanged = greatest(0, unchanged - %(met_twice)s)
WHERE run_id = %(run_id)s AND entity = %(entity)s AND state IN ('waiting', 'running')

-- name: entity_results
-- Every entity's counters, in order.
SELECT entity, state, received, inserted, updated, unchanged, removed, dead, dead_new, page, error
FROM control.run_entities WHERE run_id = %(run_id)s ORDER BY position

-- name: entity_progress
-- How far each entity is, for a progress bar.
SELECT entity, state, page, pages_expected, received, total FROM control.run_entities
WHERE run_id = %(run_id)s ORDER BY position

-- name: due_continuations
-- Deferred runs whose time has come, that nothing has continued or overtaken, and that nothing keeps from starting now: a
-- due time is taken once, so one that met an active run would never come again. A requeue is its bulk action's business, a list
-- that was read and waits for an admin is the admin's.
SELECT r.id, r.integration, r.account_key, r.mode, r.since, r.blocked_until,
       array_agg(e.entity ORDER BY e.position)
           FILTER (WHERE e.state <> 'complete' AND e.error ->> 'code' IS DISTINCT FROM 'MASS_REMOVAL') AS entities
FROM control.runs AS r
JOIN control.run_entities AS e ON e.run_id = r.id
WHERE r.state = 'deferred' AND NOT r.dry_run AND r.mode <> 'requeue' AND r.blocked_until <= clock_timestamp()
  AND r.integration = %(integration)s AND r.account_key = %(account_key)s
  AND NOT EXISTS (
      SELECT FROM control.runs AS active
      WHERE active.integration = r.integration AND active.account_key = r.account_key
        AND active.state IN ('running', 'stopping'))
  AND NOT EXISTS (
      SELECT FROM control.commands AS c
      WHERE c.integration = r.integration AND c.account_key = r.account_key AND c.action = 'run' AND c.state = 'pending'
        AND c.expires_at > clock_timestamp())
  AND NOT EXISTS (
      SELECT FROM control.accounts_synced AS a
      WHERE a.integration = r.integration AND a.account_key = r.account_key
        AND (a.held OR a.paused_at IS NOT NULL OR a.blocked_until > clock_timestamp()))
  AND NOT EXISTS (
      SELECT FROM control.runs AS later
      WHERE later.integration = r.integration AND later.account_key = r.account_key AND later.queued_at > r.queued_at
        AND (later.continues_run_id = r.id OR (later.mode = r.mode AND later.entities @> r.entities AND NOT later.dry_run
                                           AND (r.since IS NULL OR later.since <= r.since)
                                           AND later.state <> 'interrupted')))
GROUP BY r.id
ORDER BY r.queued_at DESC

-- name: orphans
-- Active runs whose lease ran out or is no longer theirs: their process died.
SELECT r.id, r.integration, r.account_key, r.term, r.state, r.stop_requested_by
FROM control.runs AS r
LEFT JOIN control.leases AS l USING (integration, account_key)
WHERE r.state IN ('running', 'stopping')
  AND (l.run_id IS DISTINCT FROM r.id OR l.term IS DISTINCT FROM r.term OR l.expires_at <= clock_timestamp())

-- name: held_by
-- Active runs of daemons known to be dead.
SELECT id, integration, account_key, term, state, stop_requested_by FROM control.runs
WHERE state IN ('running', 'stopping') AND daemon_id = ANY (%(daemon_ids)s)

-- name: block_account
-- The vendor or the budget said "come back later". What a ping was told meanwhile for longer stays.
UPDATE control.accounts_synced SET blocked_until = %(until)s, blocked_code = %(code)s
WHERE integration = %(integration)s AND account_key = %(account_key)s
  AND coalesce(blocked_until <= greatest(%(until)s, clock_timestamp()), true)

-- name: open_pass
-- The unfinished reading of an entity in a mode, with whether it is young enough to go on.
SELECT p.*, p.started_at > clock_timestamp() - make_interval(secs => %(oldest_seconds)s) AS young,
       (SELECT count(*) FROM control.seen_ids AS s WHERE s.pass_id = p.id) AS pages_seen
FROM control.passes AS p
WHERE p.integration = %(integration)s AND p.account_key = %(account_key)s AND p.entity = %(entity)s AND p.mode = %(mode)s
  AND p.state = 'open'

-- name: insert_pass
-- A new reading, from page 1.
INSERT INTO control.passes (integration, account_key, entity, mode, page_size, sort, filter, first_run_id, last_run_id)
VALUES (%(integration)s, %(account_key)s, %(entity)s, %(mode)s, %(page_size)s, %(sort)s, %(filter)s, %(run_id)s, %(run_id)s)
RETURNING *

-- name: continue_pass
-- This run goes on with it. One of which nothing came begins now: another run may have met since what this one will not.
UPDATE control.passes
SET last_run_id = %(run_id)s, started_at = CASE WHEN next_page = 1 THEN clock_timestamp() ELSE started_at END
WHERE id = %(pass_id)s
RETURNING started_at

-- name: advance
-- What pages that are written together move in one statement: the ids that were seen (a page read again replaces what was
-- seen on it), the run's counters, and the checkpoint with a digest of the last page, by which a resume knows whether the
-- list is still the same. No row when the pages were committed already: the answer to an earlier COMMIT was lost with its
-- connection.
WITH seen AS (
    INSERT INTO control.seen_ids (pass_id, page, ids)
    SELECT %(pass_id)s, p.number, (%(ids)s::text[])[p.first_id : p.last_id]
    FROM unnest(%(numbers)s::integer[], %(first_ids)s::integer[], %(last_ids)s::integer[]) AS p (number, first_id, last_id)
    WHERE %(see_ids)s
    ON CONFLICT (pass_id, page) DO UPDATE SET ids = excluded.ids),
counted AS (
    UPDATE control.run_entities
    SET page = %(page)s, pages_expected = %(pages_expected)s, total = %(total)s,
        received = received + %(received)s, inserted = inserted + %(inserted)s, updated = updated + %(updated)s,
        unchanged = unchanged + %(unchanged)s, dead = dead + %(dead)s, dead_new = dead_new + %(dead_new)s,
        duplicates = duplicates + %(duplicates)s
    WHERE run_id = %(run_id)s AND entity = %(entity)s)
UPDATE control.passes
SET next_page = %(page)s + 1, rows_per_page = %(rows_per_page)s, total = %(total)s, received = received + %(received)s,
    watermark_candidate = %(watermark_candidate)s, removable = removable AND %(removable)s,
    last_page_digest = %(digest)s, began_at = coalesce(began_at, %(began_at)s),
    first_total = coalesce(first_total, %(first_total)s), born = born + %(born)s
WHERE id = %(pass_id)s AND state = 'open'
  AND (next_page = %(first_page)s OR (%(again)s AND next_page = %(first_page)s + 1))
RETURNING id

-- name: next_page
-- Where a reading goes on.
SELECT next_page FROM control.passes WHERE id = %(pass_id)s

-- name: stream_seen
-- What earlier runs of a pass met, page by page.
SELECT ids FROM control.seen_ids WHERE pass_id = %(pass_id)s

-- name: end_pass
-- Complete or abandoned; what was seen is kept for a complete backfill (a confirmed mass removal needs it). A list that moved
-- under its reader may have hidden a record: no watermark may pass over it.
UPDATE control.passes
SET state = %(state)s, finished_at = clock_timestamp(), last_page_digest = NULL, total = coalesce(%(total)s, total),
    watermark_candidate = CASE WHEN %(keep_watermark)s THEN watermark_candidate END, deep = %(deep)s
WHERE id = %(pass_id)s AND state = 'open'
RETURNING pg_current_xact_id()::text AS xact_id

-- name: begin_second_look
-- Every page of a pass has come, and its list is being read once more, or again.
UPDATE control.passes SET looks = looks + 1 WHERE id = %(pass_id)s
RETURNING looks

-- name: see_more
-- What only a second look at the list met; no page has the number 0.
INSERT INTO control.seen_ids (pass_id, page, ids) VALUES (%(pass_id)s, 0, %(ids)s)
ON CONFLICT (pass_id, page) DO UPDATE SET ids = excluded.ids

-- name: see_for_question
-- What a requeue's pass over the list met is not gone, whatever an admin says of what an earlier reading missed.
INSERT INTO control.seen_ids (pass_id, page, ids)
SELECT pass_id, -%(page)s::integer, %(ids)s::text[]
FROM control.confirmations
WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s AND kind = 'mass_removal'
  AND state = 'open'
ON CONFLICT (pass_id, page) DO UPDATE SET ids = seen_ids.ids || excluded.ids

-- name: forget_seen
-- Ids of passes that can no longer need them.
DELETE FROM control.seen_ids AS s
USING control.passes AS p
WHERE p.id = s.pass_id AND p.integration = %(integration)s AND p.account_key = %(account_key)s AND p.entity = %(entity)s
  AND p.state <> 'open' AND p.id <> %(keep_pass_id)s

-- name: forget_pass
-- Ids of one pass that has said what they prove.
DELETE FROM control.seen_ids WHERE pass_id = %(pass_id)s

-- name: count_distinct_ids
-- How many different records a pass met on its pages.
SELECT count(DISTINCT id) AS ids
FROM control.seen_ids AS s, unnest(s.ids) AS id
WHERE s.pass_id = %(pass_id)s AND s.page > 0

-- name: remembers_all
-- Whether what was seen on each page of a pass is still there: a crash of the server empties an unlogged table.
SELECT p.next_page - 1 = (SELECT count(*) FROM control.seen_ids AS s WHERE s.pass_id = p.id AND s.page > 0) AS remembers_all
FROM control.passes AS p
WHERE p.id = %(pass_id)s

-- name: count_unseen
-- How many of these ids the pass has not met before this page.
SELECT count(*) AS unseen
FROM unnest(%(ids)s::text[]) AS id
WHERE NOT EXISTS (
    SELECT FROM control.seen_ids AS s WHERE s.pass_id = %(pass_id)s AND s.page < %(page)s AND id = ANY (s.ids))

-- name: store_shape
-- What a sample of the entity's records holds against our columns; the latest sample counts.
INSERT INTO control.schema_diffs (integration, account_key, entity, run_id, sampled, diff)
VALUES (%(integration)s, %(account_key)s, %(entity)s, %(run_id)s, %(sampled)s, %(diff)s)
ON CONFLICT (integration, account_key, entity) DO UPDATE
SET run_id = excluded.run_id, sampled = excluded.sampled, diff = excluded.diff, created_at = clock_timestamp()

-- name: list_sizes
-- How long each entity's list is by the vendor's own total, and whether its last delta came newest first, as asked. One
-- that had no watermark yet read the whole list without asking, which says nothing of the order.
SELECT e.entity, latest.total, NOT coalesce(delta.warnings @> '[{"code": "ORDER_NOT_PROVEN"}]', false) AS in_order
FROM unnest(%(entities)s::text[]) AS e (entity)
LEFT JOIN LATERAL (
    SELECT total FROM control.passes
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = e.entity AND state = 'complete'
      AND total IS NOT NULL
    ORDER BY finished_at DESC
    LIMIT 1
) AS latest ON true
LEFT JOIN LATERAL (
    SELECT r.warnings FROM control.passes AS p
    JOIN control.run_entities AS r ON r.run_id = p.last_run_id AND r.entity = p.entity
    WHERE p.integration = %(integration)s AND p.account_key = %(account_key)s AND p.entity = e.entity
      AND p.state = 'complete' AND p.mode = 'delta'
    ORDER BY p.finished_at DESC
    LIMIT 1
) AS delta ON true

-- name: watermark
-- Up to when the entity's changes are known: the top of the latest complete reading, or where that was a deep delta, the one
-- before it. One that was yet to come when it was read is a record's wrong stamp, which no version writes any more.
WITH tops AS (
    SELECT watermark_candidate AS top, deep, finished_at FROM control.passes
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s
      AND state = 'complete' AND mode IN ('delta', 'backfill') AND watermark_candidate <= started_at + interval '1 hour'
    ORDER BY finished_at DESC
    LIMIT 2)
SELECT min(top) AS watermark
FROM (SELECT top, lag(deep, 1, true) OVER (ORDER BY finished_at DESC) AS counts FROM tops) AS t
WHERE counts

-- name: earlier_passes
-- Whether a reading other than this one brought records of the entity, and whether one came to its end. A watermark would
-- not tell: one whose records carry no `updatedAt`, or that moved under each of its readers, never has any.
SELECT coalesce(bool_or(received > 0), false) AS brought_records,
       coalesce(bool_or(state = 'complete' AND mode IN ('delta', 'backfill')), false) AS was_complete
FROM control.passes
WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s
  AND id IS DISTINCT FROM %(pass_id)s::bigint

-- name: latest_backfill
-- The last complete full reading of an entity.
SELECT id FROM control.passes
WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s
  AND state = 'complete' AND mode = 'backfill'
ORDER BY finished_at DESC
LIMIT 1
