-- Commands and the audit log. Only common/operator_actions.py and daemon/commands.py run these; the caller commits.

-- name: log_action
-- One row of the audit log; returns its id.
INSERT INTO control.admin_logs (actor, role, source, address, action, integration, account_key, summary, result, reason,
                                command_id, outcome_of)
VALUES (%(actor)s, %(role)s, %(source)s, %(address)s, %(action)s, %(integration)s, %(account_key)s, %(summary)s, %(result)s,
        %(reason)s, %(command_id)s, %(outcome_of)s)
RETURNING id

-- name: submit
-- A sealed command; NOTIFY wakes the listening daemons when the transaction commits.
WITH submitted AS (
    INSERT INTO control.commands (id, integration, account_key, action, payload, actor, audit_id, expires_at, seal,
                                  addressed_to)
    VALUES (%(id)s, %(integration)s, %(account_key)s, %(action)s, %(payload)s, %(actor)s, %(audit_id)s, %(expires_at)s,
            %(seal)s, %(addressed_to)s)
    RETURNING id)
SELECT pg_notify('icc_commands', id::text) FROM submitted

-- name: database_now
-- The database's clock, by which commands expire and leases run out.
SELECT clock_timestamp() AS now

-- name: claim
-- The oldest waiting command, for this daemon only; nobody waits for anybody (SKIP LOCKED), and no Stop until others are
-- taken. Text columns only: a row that the gate did not write may hold what no client can read, and must not keep others
-- from being claimed. "Under way": a daemon that lives has taken it already (this claim is not counted: a statement does
-- not see its own writes). It is noted first: the table's guard believes a claim by its note.
WITH next AS (
    SELECT id FROM control.commands
    WHERE state = 'pending' AND expires_at > clock_timestamp()
      AND (addressed_to IS NULL OR addressed_to = %(daemon_id)s)
      AND (%(only_id)s::uuid IS NULL OR id = %(only_id)s)
    ORDER BY action <> 'stop', created_at
    LIMIT 1
    FOR UPDATE SKIP LOCKED),
noted AS (
    INSERT INTO control.claims (command_id, daemon_id) SELECT id, %(daemon_id)s FROM next RETURNING command_id),
taken AS (
    UPDATE control.commands AS c
    SET state = 'claimed', claimed_by = %(daemon_id)s, claimed_at = clock_timestamp()
    FROM noted
    WHERE c.id = noted.command_id
    RETURNING c.id, c.integration, c.account_key, c.action, c.actor, c.written_by, c.state, c.payload::text AS payload,
              c.audit_id, c.seal,
              to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS expires_at)
SELECT t.*,
       EXISTS (SELECT FROM control.admin_logs AS l WHERE l.command_id = t.id AND l.outcome_of IS NOT NULL) AS ended_before,
       EXISTS (
    SELECT FROM control.claims AS k
    JOIN control.daemons AS d ON d.id = k.daemon_id
    WHERE k.command_id = t.id AND d.stopped_at IS NULL AND (
        d.id = %(daemon_id)s
        OR d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds))) AS under_way,
       pg_current_xact_id()::text AS transaction
FROM taken AS t

-- name: went_through
-- What became of a claim whose COMMIT was never answered. Its server may wait for it still, our side of the connection
-- being gone: that session is ended, and whoever asks again learns what became of it.
SELECT s.status,
       CASE WHEN s.status = 'in progress' THEN (
           SELECT bool_or(pg_terminate_backend(a.pid)) FROM pg_stat_activity AS a
           WHERE a.backend_xid = (%(transaction)s::xid8)::xid) END AS has_ended_it
FROM (SELECT pg_xact_status(%(transaction)s::xid8) AS status) AS s

-- name: finish
-- The end of a claimed command; nothing happens when somebody else ended it meanwhile.
UPDATE control.commands
SET state = %(state)s, finished_at = clock_timestamp(), result = %(result)s, run_id = coalesce(%(run_id)s, run_id)
WHERE id = %(id)s AND state = 'claimed'

-- name: has_ended
-- Whether a command's outcome was told.
SELECT EXISTS (SELECT FROM control.admin_logs WHERE command_id = %(id)s AND outcome_of IS NOT NULL) AS has_ended

-- name: unclaimed
-- Waiting commands that this daemon's next claim may never come by: run out, or addressed to one daemon. Text columns only,
-- as for a claim, and no lock: a row that is another daemon's to take must not be skipped by it because we look at it.
SELECT id, integration, account_key, action, actor, written_by, state, expires_at <= clock_timestamp() AS has_run_out
FROM control.commands
WHERE state = 'pending' AND (expires_at <= clock_timestamp() OR addressed_to IS NOT NULL)
ORDER BY created_at
LIMIT 500

-- name: hold
-- A command that has not moved on since it was looked at, locked; else no row, nor for one that somebody else has locked.
SELECT id FROM control.commands WHERE id = %(id)s AND state = %(was)s FOR UPDATE SKIP LOCKED

-- name: put_aside
-- The end of a command that is held, without its being done; its outcome is in the audit log by now.
UPDATE control.commands
SET state = %(state)s, finished_at = clock_timestamp(), result = %(result)s
WHERE id = %(id)s

-- name: claimed_by
-- Commands claimed in a daemon's name, whoever wrote that. Text columns only, as for a claim.
SELECT id, integration, account_key, action, actor, written_by, state
FROM control.commands
WHERE state = 'claimed' AND claimed_by = %(daemon_id)s
LIMIT 500

-- name: give_back
-- Commands whose claimer died go back to the queue (or expire there). Who asks lives, however long it was frozen: what it
-- had taken is still under way in it. A claimer that never was is as dead.
UPDATE control.commands AS c
SET state = 'pending', claimed_by = NULL, claimed_at = NULL
WHERE c.id IN (
    SELECT k.id FROM control.commands AS k
    WHERE k.state = 'claimed' AND k.claimed_by <> %(daemon_id)s AND NOT EXISTS (
        SELECT FROM control.daemons AS d
        WHERE d.id = k.claimed_by AND d.stopped_at IS NULL
          AND d.heartbeat_at >= clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds))
    FOR UPDATE SKIP LOCKED)
RETURNING c.id

-- name: sealed_part
-- The rest of what a command's seal covers, the seal, and whether a command of this id has had its end: the row may have
-- been deleted and inserted again, its outcome in the audit log stays. As texts: those can be fetched whatever they hold.
SELECT c.payload::text AS payload, c.audit_id, c.seal,
       to_char(c.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') AS expires_at,
       EXISTS (SELECT FROM control.admin_logs AS l WHERE l.command_id = c.id AND l.outcome_of IS NOT NULL) AS ended_before
FROM control.commands AS c
WHERE c.id = %(id)s

-- name: by_id
-- One command with everything.
SELECT * FROM control.commands WHERE id = %(id)s

-- name: alive_service
-- Whether any daemon serves commands: its heartbeat is younger than three of its intervals.
SELECT EXISTS (
    SELECT FROM control.daemons
    WHERE stopped_at IS NULL AND kind = 'service'
      AND heartbeat_at > clock_timestamp() - make_interval(secs => 3 * heartbeat_seconds)
) AS alive

-- name: backfills_refused
-- Whether a daemon that serves now has published that it refuses backfills by hand.
SELECT EXISTS (
    SELECT FROM control.accounts_synced AS a
    JOIN control.daemons AS d ON a.settings -> 'backfills_refused_by' ? d.id::text
    WHERE a.integration = %(integration)s AND a.account_key = %(account_key)s
      AND d.stopped_at IS NULL AND d.kind = 'service'
      AND d.heartbeat_at > clock_timestamp() - make_interval(secs => 3 * d.heartbeat_seconds)
) AS refused

-- name: active_run
-- The run that holds the account now, when its lease has not run out.
SELECT r.id, r.started_at, r.requested_by, r.state
FROM control.runs AS r
JOIN control.leases AS l USING (integration, account_key)
WHERE r.integration = %(integration)s AND r.account_key = %(account_key)s
  AND r.state IN ('running', 'stopping') AND l.run_id = r.id AND l.expires_at > clock_timestamp()

-- name: waiting_runs
-- Run commands that no daemon has taken yet: pressing Run twice starts one run. Some of them, since the oldest may not be
-- from the gate; text columns only, since such a one may hold what no client can read.
SELECT id, integration, account_key, action, actor, to_char(created_at AT TIME ZONE 'UTC', 'HH24:MI:SS "UTC"') AS since
FROM control.commands
WHERE integration = %(integration)s AND account_key = %(account_key)s AND action = 'run'
  AND state = 'pending' AND expires_at > clock_timestamp()
ORDER BY created_at
LIMIT 100

-- name: account_status
-- What may keep a run from starting.
SELECT blocked_until, blocked_code, held, findings, paused_at, paused_by, paused_reason,
       blocked_until > clock_timestamp() AS is_blocked
FROM control.accounts_synced
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: lock_account
-- Two people pressing at once are served one after the other.
SELECT pg_advisory_xact_lock(hashtext('icc:gate:' || %(integration)s || ':' || %(account_key)s))

-- name: planned
-- The command whose id was planned ahead by a caller who asks again.
SELECT id, integration, account_key, action, actor FROM control.commands WHERE id = %(id)s

-- name: same_question
-- The same question to the vendor that is being asked now, or was answered within the last seconds. Some of them, since
-- the newest may not be from the gate.
SELECT id, integration, account_key, action, payload, actor, audit_id, expires_at, seal
FROM control.commands
WHERE integration = %(integration)s AND account_key = %(account_key)s AND action = %(action)s
  AND payload = %(payload)s::jsonb || jsonb_build_object('source', payload -> 'source')
  AND addressed_to IS NULL AND expires_at < clock_timestamp() + interval '1 day'
  AND created_at > clock_timestamp() - interval '5 minutes'
  AND (state = 'claimed' OR state = 'pending' AND expires_at > clock_timestamp()
       OR state = 'done' AND finished_at > clock_timestamp() - make_interval(secs => %(seconds)s))
ORDER BY created_at DESC
LIMIT 20
