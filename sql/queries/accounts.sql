-- Integrations, accounts, daemons, confirmations, schedule slots, pings. The caller commits.

-- name: ensure_account
-- The integration and its account are known from the daemon's start on.
WITH known AS (
    INSERT INTO control.integrations (key, label) VALUES (%(integration)s, %(label)s)
    ON CONFLICT (key) DO UPDATE SET label = excluded.label RETURNING key)
INSERT INTO control.accounts_synced (integration, account_key) SELECT key, %(account_key)s FROM known
ON CONFLICT DO NOTHING

-- name: read_account
-- Everything about one account.
SELECT * FROM control.accounts_synced WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: publish
-- The daemon's masked settings and findings, for the page. Each daemon publishes over the others; who of them refuses
-- backfills by hand is kept until it has stopped.
UPDATE control.accounts_synced AS a
SET settings = %(settings)s || jsonb_build_object('backfills_refused_by', (
        SELECT coalesce(jsonb_agg(d.id), '[]') FROM control.daemons AS d
        WHERE d.stopped_at IS NULL
          AND CASE WHEN d.id = %(daemon_id)s THEN %(refuses_backfills)s
                   ELSE a.settings -> 'backfills_refused_by' ? d.id::text END)),
    findings = %(findings)s, held = %(held)s, published_by = %(daemon_id)s,
    published_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: forget_source
-- The account is as if nothing had ever been copied.
UPDATE control.accounts_synced
SET source_kind = NULL, identity = NULL, identity_checked_at = NULL, blocked_until = NULL, blocked_code = NULL
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: pause
-- Nothing starts by itself from now on; no row when it is paused already.
UPDATE control.accounts_synced
SET paused_at = clock_timestamp(), paused_by = %(by)s, paused_reason = %(reason)s
WHERE integration = %(integration)s AND account_key = %(account_key)s AND paused_at IS NULL
RETURNING integration

-- name: resume
-- What is due starts by itself again; no row when it was not paused.
UPDATE control.accounts_synced SET paused_at = NULL, paused_by = NULL, paused_reason = NULL
WHERE integration = %(integration)s AND account_key = %(account_key)s AND paused_at IS NOT NULL
RETURNING integration

-- name: unlink_passes
-- Runs are kept as history; what they read is forgotten.
UPDATE control.run_entities AS e SET pass_id = NULL FROM control.passes AS p
WHERE e.pass_id = p.id AND p.integration = %(integration)s AND p.account_key = %(account_key)s

-- name: forget_seen
-- Ids of rows that are gone.
DELETE FROM control.seen_ids AS s USING control.passes AS p
WHERE s.pass_id = p.id AND p.integration = %(integration)s AND p.account_key = %(account_key)s

-- name: forget_passes
-- Readings of rows that are gone: no watermark, no freshness, nothing to resume.
DELETE FROM control.passes WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: forget_letters
-- Open letters of rows that are gone.
UPDATE control.dead_letters
SET state = 'discarded', finished_at = clock_timestamp(), finished_by = 'daemon', finish_reason = 'the drill rows were deleted'
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state IN ('open', 'queued')

-- name: forget_questions
-- Questions about rows that are gone.
UPDATE control.confirmations SET state = 'superseded', answered_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = 'open'

-- name: set_identity
-- Whose account it is.
UPDATE control.accounts_synced SET identity = %(identity)s, identity_checked_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: enlist_daemon
-- A daemon starts.
INSERT INTO control.daemons (id, kind, hostname, boot_id, pid, process_started_at, version, heartbeat_seconds, doing)
VALUES (%(id)s, %(kind)s, %(hostname)s, %(boot_id)s, %(pid)s, %(process_started_at)s, %(version)s, %(heartbeat_seconds)s,
        'idle')

-- name: beat
-- It lives, and what it is doing.
UPDATE control.daemons SET heartbeat_at = clock_timestamp(), doing = %(doing)s, listening = %(listening)s
WHERE id = %(id)s

-- name: wait_a_second
-- For a lock, in this transaction: whoever leaves has no time.
SELECT set_config('lock_timeout', '1s', true)

-- name: discharge_daemon
-- It ended in order.
UPDATE control.daemons SET stopped_at = clock_timestamp(), doing = 'stopped', listening = false
WHERE id = %(id)s AND stopped_at IS NULL

-- name: discharge_dead
-- A daemon of this machine whose process is gone.
UPDATE control.daemons SET stopped_at = clock_timestamp(), doing = 'died', listening = false
WHERE id = %(id)s AND stopped_at IS NULL

-- name: daemons_of_host
-- Daemons that should live on this machine; the caller asks the kernel.
SELECT id, pid, process_started_at FROM control.daemons
WHERE hostname = %(hostname)s AND boot_id = %(boot_id)s AND stopped_at IS NULL AND id <> %(id)s

-- name: open_confirmation
-- Ask an admin; a newer question of the same kind replaces the older one.
INSERT INTO control.confirmations (id, integration, account_key, kind, entity, run_id, pass_id, details)
VALUES (%(id)s, %(integration)s, %(account_key)s, %(kind)s, %(entity)s, %(run_id)s, %(pass_id)s, %(details)s)

-- name: same_question
-- The very same question, still open: it is not asked twice.
SELECT id FROM control.confirmations
WHERE integration = %(integration)s AND account_key = %(account_key)s AND kind = %(kind)s
  AND entity IS NOT DISTINCT FROM %(entity)s AND pass_id IS NOT DISTINCT FROM %(pass_id)s AND details = %(details)s
  AND state = 'open'

-- name: supersede_confirmations
-- Older open questions of the same kind.
UPDATE control.confirmations SET state = 'superseded', answered_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s AND kind = %(kind)s
  AND entity IS NOT DISTINCT FROM %(entity)s AND state = 'open'

-- name: read_confirmation
-- One question, locked.
SELECT * FROM control.confirmations WHERE id = %(id)s AND state = 'open' FOR UPDATE

-- name: is_asked
-- Whether an admin may still say that what a reading missed is gone.
SELECT EXISTS (
    SELECT FROM control.confirmations
    WHERE integration = %(integration)s AND account_key = %(account_key)s AND kind = 'mass_removal' AND entity = %(entity)s
      AND state = 'open' AND created_at > clock_timestamp() - make_interval(secs => %(within_seconds)s)) AS is_asked

-- name: open_confirmations
-- Every question that waits.
SELECT * FROM control.confirmations
WHERE (%(integration)s::text IS NULL OR integration = %(integration)s) AND state = 'open'
ORDER BY created_at

-- name: lock_lease
-- While it is locked no run begins and no page commits.
SELECT FROM control.leases WHERE integration = %(integration)s AND account_key = %(account_key)s FOR UPDATE

-- name: answer_confirmation
-- An admin's answer.
UPDATE control.confirmations
SET state = %(answer)s, answered_at = clock_timestamp(), answered_by = %(by)s, answer_reason = %(reason)s
WHERE id = %(id)s AND state = 'open'

-- name: take_slot
-- A due time, once over all daemons, with what came of it; no row when another daemon took it. A continuation has one due
-- time only: it is taken anew when nobody lived to take its command in time, and, not as soon, when it was refused, at the
-- gate or by the daemon: another run had just begun, say. So is any that was taken while the database's clock was ahead.
INSERT INTO control.schedule_slots AS s (integration, account_key, kind, due_at, outcome, reason, command_id, taken_by)
VALUES (%(integration)s, %(account_key)s, %(kind)s, %(due_at)s, %(outcome)s, %(reason)s, %(command_id)s, %(daemon_id)s)
ON CONFLICT (integration, account_key, kind, due_at) DO UPDATE
SET outcome = excluded.outcome, reason = excluded.reason, command_id = excluded.command_id, taken_by = excluded.taken_by,
    taken_at = clock_timestamp()
WHERE s.taken_at > clock_timestamp()
   OR s.kind = 'continuation' AND s.taken_at < clock_timestamp() - interval '1 minute'
  AND ((s.command_id IS NULL AND s.taken_at < clock_timestamp() - interval '15 minutes')
       OR EXISTS (SELECT FROM control.commands AS c WHERE c.id = s.command_id
                  AND (c.state = 'expired' OR (c.state = 'pending' AND c.expires_at <= clock_timestamp())
                       OR (c.state = 'refused' AND s.taken_at < clock_timestamp() - interval '15 minutes'))))
RETURNING due_at

-- name: latest_slot
-- The last due time of a kind that was taken; not one that was taken while the database's clock was ahead.
SELECT max(due_at) AS due_at FROM control.schedule_slots
WHERE integration = %(integration)s AND account_key = %(account_key)s AND kind = %(kind)s AND taken_at <= clock_timestamp()

-- name: put_off
-- The vendor said "come back later" to somebody who is no run.
UPDATE control.accounts_synced SET blocked_until = %(until)s, blocked_code = %(code)s
WHERE integration = %(integration)s AND account_key = %(account_key)s
  AND (blocked_until IS NULL OR blocked_until < %(until)s)

-- name: insert_ping
-- A ping's result.
INSERT INTO control.pings (integration, account_key, ok, code, reason, remedy, base_url, authenticated, sample_count,
                           elapsed_ms, requested_by, command_id)
VALUES (%(integration)s, %(account_key)s, %(ok)s, %(code)s, %(reason)s, %(remedy)s, %(base_url)s, %(authenticated)s,
        %(sample_count)s, %(elapsed_ms)s, %(requested_by)s, %(command_id)s)
