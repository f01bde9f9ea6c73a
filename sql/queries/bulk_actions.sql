-- Requeues and discards of dead letters. common/store/bulk_actions.py runs these; the caller commits.

-- name: insert
-- An accepted wish; its id is its command's, so that a command taken twice is one action.
INSERT INTO control.bulk_actions (id, integration, account_key, action, filter, reason, actor, source, counted)
VALUES (%(id)s, %(integration)s, %(account_key)s, %(action)s, %(filter)s, %(reason)s, %(actor)s, %(source)s, %(counted)s)

-- name: take_letters
-- The open letters that match and were counted (`last_id`), from now on queued for this action.
WITH matching AS MATERIALIZED (
    SELECT id FROM control.dead_letters
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = 'open'
      AND (%(entity)s::text IS NULL OR entity = %(entity)s)
      AND (%(code)s::text IS NULL OR code = %(code)s)
      AND (%(fingerprint)s::text IS NULL OR fingerprint = %(fingerprint)s)
      AND (%(ids)s::bigint[] IS NULL OR id = ANY (%(ids)s))
      AND (%(last_id)s::bigint IS NULL OR id <= %(last_id)s)
    ORDER BY id
    FOR UPDATE
), listed AS (
    INSERT INTO control.bulk_letters (bulk_id, letter_id) SELECT %(id)s, id FROM matching RETURNING letter_id
), queued AS (
    UPDATE control.dead_letters AS d SET state = 'queued' FROM listed WHERE d.id = listed.letter_id RETURNING d.id
)
SELECT count(*) AS taken FROM queued

-- name: note_counted
-- How many letters it really took: some may have been recovered since they were counted.
UPDATE control.bulk_actions SET counted = %(counted)s WHERE id = %(id)s

-- name: unfinished
-- What is to be done or settled, oldest first, with the state of its run and whether a requeue may start now: a paused
-- schedule keeps back nothing that somebody pressed. `run_until`: when its own share of the hour is free again; what the
-- vendor or the whole budget asked to wait for is the account's block, which may end earlier than it was told.
SELECT b.id, b.integration, b.account_key, b.action, b.reason, b.actor, b.source, b.state, b.counted, b.run_id,
       b.cancel_asked_by, r.state AS run_state, r.error AS run_error, r.stop_requested_by,
       CASE WHEN r.warnings @> '[{"code": "REQUEUE_SHARE_SPENT"}]' THEN r.blocked_until END AS run_until,
       (b.not_before IS NULL OR b.not_before <= clock_timestamp())
       AND NOT EXISTS (
           SELECT FROM control.runs AS active
           WHERE active.integration = b.integration AND active.account_key = b.account_key
             AND active.state IN ('running', 'stopping'))
       AND NOT EXISTS (
           SELECT FROM control.accounts_synced AS a
           WHERE a.integration = b.integration AND a.account_key = b.account_key
             AND (a.held OR a.blocked_until > clock_timestamp())) AS may_start
FROM control.bulk_actions AS b
LEFT JOIN control.runs AS r ON r.id = b.run_id
WHERE b.state IN ('queued', 'running') AND b.integration = ANY (%(integrations)s)
  AND (%(id)s::uuid IS NULL OR b.id = %(id)s)
ORDER BY b.created_at

-- name: lock
-- An unfinished one, for this transaction alone; no row when another daemon is at it or it has ended. What it is now is for
-- the next statement to read: this one's snapshot may be older than the lock.
SELECT integration FROM control.bulk_actions
WHERE id = %(id)s AND state IN ('queued', 'running') FOR UPDATE SKIP LOCKED

-- name: start
-- It is being worked on; a requeue by this run.
UPDATE control.bulk_actions
SET state = 'running', run_id = coalesce(%(run_id)s, run_id), not_before = NULL,
    started_at = coalesce(started_at, clock_timestamp())
WHERE id = %(id)s

-- name: wait
-- Back to the queue: its run was cut short, or has used its share of the hour.
UPDATE control.bulk_actions SET state = 'queued', not_before = %(not_before)s WHERE id = %(id)s

-- name: put_off
-- A queued one is not to start before this moment.
UPDATE control.bulk_actions SET not_before = %(not_before)s WHERE id = %(id)s AND state = 'queued'

-- name: ask_to_cancel
-- Somebody wants no more of it; the first who asked counts.
UPDATE control.bulk_actions SET cancel_asked_by = coalesce(cancel_asked_by, %(by)s)
WHERE id = %(id)s AND integration = %(integration)s AND account_key = %(account_key)s AND state IN ('queued', 'running')
RETURNING id, action, run_id

-- name: finish
-- Its end, with a verdict.
UPDATE control.bulk_actions
SET state = %(state)s, verdict = %(verdict)s, done = counted, finished_at = clock_timestamp()
WHERE id = %(id)s

-- name: settle_elsewhere
-- Letters that a sync or somebody else has closed meanwhile.
WITH settled AS (
    UPDATE control.bulk_letters AS b SET outcome = CASE WHEN d.state = 'open' THEN 'left' ELSE d.state END
    FROM control.dead_letters AS d
    WHERE b.bulk_id = %(id)s AND b.outcome IS NULL AND d.id = b.letter_id AND d.state <> 'queued'
    RETURNING b.letter_id)
UPDATE control.bulk_actions SET done = done + (SELECT count(*) FROM settled) WHERE id = %(id)s

-- name: waiting_entities
-- The entities whose letters it has not come to.
SELECT DISTINCT d.entity
FROM control.bulk_letters AS b
JOIN control.dead_letters AS d ON d.id = b.letter_id
WHERE b.bulk_id = %(id)s AND b.outcome IS NULL

-- name: of_run
-- The action that a run works for, and where its list pass of an entity goes on.
SELECT id, places -> %(entity)s AS place FROM control.bulk_actions WHERE run_id = %(run_id)s

-- name: waiting_letters
-- The letters of one entity that it has not come to, oldest first.
SELECT d.id, d.record_id, d.payload_hash, d.fingerprint, d.page, b.not_found
FROM control.bulk_letters AS b
JOIN control.dead_letters AS d ON d.id = b.letter_id
WHERE b.bulk_id = %(id)s AND b.outcome IS NULL AND d.entity = %(entity)s
ORDER BY d.id

-- name: settle_letter
-- What became of one letter, closed with its reason or open again.
WITH letter AS (
    UPDATE control.dead_letters
    SET state = %(state)s, finished_by = %(by)s, finish_reason = %(reason)s,
        finished_at = CASE WHEN %(state)s = 'open' THEN NULL ELSE clock_timestamp() END
    WHERE id = %(letter_id)s AND state = 'queued'
), listed AS (
    UPDATE control.bulk_letters SET outcome = %(outcome)s
    WHERE bulk_id = %(id)s AND letter_id = %(letter_id)s AND outcome IS NULL
    RETURNING letter_id)
UPDATE control.bulk_actions SET done = done + (SELECT count(*) FROM listed) WHERE id = %(id)s

-- name: note_not_found
-- Asked for by its id, and the vendor knows no such record; the list has the last word.
UPDATE control.bulk_letters SET not_found = true WHERE bulk_id = %(id)s AND letter_id = %(letter_id)s

-- name: note_refused
-- Tried once more; why its payload was put aside stays as it was. A run counts once.
UPDATE control.dead_letters SET attempts = attempts + (run_id IS DISTINCT FROM %(run_id)s)::int, run_id = %(run_id)s
WHERE id = %(letter_id)s AND state = 'queued'

-- name: note_place
-- The next page of a list pass, should it be cut short, and what that number belongs to.
UPDATE control.bulk_actions SET places = places || jsonb_build_object(%(entity)s::text, %(place)s::jsonb)
WHERE id = %(id)s

-- name: discard_some
-- The next letters of a discard, closed with who and why. Those that somebody else has closed meanwhile are left.
WITH batch AS (
    SELECT letter_id FROM control.bulk_letters
    WHERE bulk_id = %(id)s AND outcome IS NULL
    ORDER BY letter_id
    LIMIT %(most)s
), closed AS (
    UPDATE control.dead_letters AS d
    SET state = 'discarded', finished_at = clock_timestamp(), finished_by = %(by)s, finish_reason = %(reason)s
    FROM batch
    WHERE d.id = batch.letter_id AND d.state = 'queued'
    RETURNING d.id
), listed AS (
    UPDATE control.bulk_letters AS b
    SET outcome = CASE WHEN b.letter_id IN (SELECT id FROM closed) THEN 'discarded' ELSE 'left' END
    FROM batch
    WHERE b.bulk_id = %(id)s AND b.letter_id = batch.letter_id
    RETURNING b.letter_id)
UPDATE control.bulk_actions SET done = done + (SELECT count(*) FROM listed) WHERE id = %(id)s
RETURNING (SELECT count(*) FROM listed) AS settled

-- name: release
-- What it did not come to is open as before.
WITH reopened AS (
    UPDATE control.dead_letters AS d SET state = 'open'
    FROM control.bulk_letters AS b
    WHERE b.bulk_id = %(id)s AND b.outcome IS NULL AND d.id = b.letter_id AND d.state = 'queued')
UPDATE control.bulk_letters SET outcome = 'left' WHERE bulk_id = %(id)s AND outcome IS NULL

-- name: outcomes
-- How many letters ended how.
SELECT outcome, count(*) AS letters FROM control.bulk_letters
WHERE bulk_id = %(id)s AND outcome IS NOT NULL
GROUP BY outcome

-- name: count_letter
-- What one record that was read again brought.
UPDATE control.run_entities
SET received = received + 1, inserted = inserted + %(inserted)s, updated = updated + %(updated)s,
    unchanged = unchanged + %(unchanged)s, dead = dead + %(dead)s
WHERE run_id = %(run_id)s AND entity = %(entity)s

-- name: count_requeued
-- How far a requeue's entity is, in requests; and all requests of its run so far: a killed run's count against the share, too.
WITH counted AS (UPDATE control.runs SET requests = %(requests)s WHERE id = %(run_id)s)
UPDATE control.run_entities SET page = %(page)s, pages_expected = %(pages_expected)s
WHERE run_id = %(run_id)s AND entity = %(entity)s

-- name: spent
-- Requests of the account's requeues that may still count in the vendor's hour: when each ended, and how many. Of one that
-- was killed nobody knows of the last one, and where nothing was noted yet, of the first, which asks whose account it is.
SELECT coalesce(finished_at, clock_timestamp()) AS ended_at,
       CASE state WHEN 'interrupted' THEN greatest(requests, 1) + 1 ELSE requests END AS requests
FROM control.runs
WHERE integration = %(integration)s AND account_key = %(account_key)s AND mode = 'requeue'
  AND (requests > 0 OR state = 'interrupted')
  AND coalesce(finished_at, clock_timestamp()) > clock_timestamp() - interval '1 hour'

-- name: list_total
-- How long the entity's list was when it was last read to its end; no row before.
SELECT total FROM control.passes
WHERE integration = %(integration)s AND account_key = %(account_key)s AND entity = %(entity)s AND state = 'complete'
  AND total IS NOT NULL
ORDER BY finished_at DESC
LIMIT 1
