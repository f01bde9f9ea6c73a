-- The request budget's one row per account, and what an admin has lowered. The caller commits.

-- name: ensure
-- The row exists from the first request on.
INSERT INTO control.budgets (integration, account_key) VALUES (%(integration)s, %(account_key)s) ON CONFLICT DO NOTHING

-- name: lock
-- The row, locked: permits are given one at a time, over all daemons, by the database's clock (epoch seconds). The commit
-- need not wait for the disk: a crash of the server may forget the last permits of some tens of milliseconds, never more.
SELECT windows, extract(epoch FROM clock_timestamp())::double precision AS now,
       set_config('synchronous_commit', 'off', true) AS unhurried
FROM control.budgets
WHERE integration = %(integration)s AND account_key = %(account_key)s
FOR UPDATE

-- name: store
-- The windows after a decision.
UPDATE control.budgets SET windows = %(windows)s, updated_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: lowered
-- What an admin allows for a while instead of what is set; no row when nothing is lowered now.
SELECT lowered_to, lowered_until, lowered_by, lowered_reason FROM control.budgets
WHERE integration = %(integration)s AND account_key = %(account_key)s AND lowered_until > clock_timestamp()

-- name: in_force
-- The same, null when nothing is lowered, and for how long the vendor wants nothing to be sent: by anybody, and by runs
-- (a block by our own budget is judged by its windows).
SELECT CASE WHEN b.lowered_until > clock_timestamp() THEN b.lowered_to END AS lowered_to,
       coalesce((b.windows ->> 'held_until')::double precision - extract(epoch FROM clock_timestamp())::double precision, 0)
           AS held_seconds,
       coalesce(extract(epoch FROM a.blocked_until - clock_timestamp())::double precision, 0) AS blocked_seconds
FROM (VALUES (%(integration)s, %(account_key)s)) AS asked (integration, account_key)
LEFT JOIN control.budgets AS b USING (integration, account_key)
LEFT JOIN control.accounts_synced AS a
    ON a.integration = asked.integration AND a.account_key = asked.account_key AND a.blocked_code <> 'BUDGET_SPENT'

-- name: lower
-- Lower limits or concurrency until a moment, by the database's clock.
UPDATE control.budgets
SET lowered_to = %(to)s, lowered_until = clock_timestamp() + make_interval(mins => %(minutes)s), lowered_by = %(by)s,
    lowered_reason = %(reason)s
WHERE integration = %(integration)s AND account_key = %(account_key)s
RETURNING lowered_until

-- name: lift
-- What is set counts again; no row when nothing was lowered.
UPDATE control.budgets
SET lowered_to = NULL, lowered_until = NULL, lowered_by = NULL, lowered_reason = NULL
WHERE integration = %(integration)s AND account_key = %(account_key)s AND lowered_until > clock_timestamp()
RETURNING integration

-- name: blocked_by_us
-- An account that our own budget holds back, with what its block was judged by; locked, since a run may end meanwhile.
SELECT a.blocked_until, coalesce(b.windows, '{}'::jsonb) AS windows,
       CASE WHEN b.lowered_until > clock_timestamp() THEN b.lowered_to END AS lowered_to,
       extract(epoch FROM clock_timestamp())::double precision AS now,
       extract(epoch FROM a.blocked_until)::double precision AS blocked_epoch
FROM control.accounts_synced AS a
LEFT JOIN control.budgets AS b USING (integration, account_key)
WHERE a.integration = %(integration)s AND a.account_key = %(account_key)s AND a.blocked_code = 'BUDGET_SPENT'
  AND a.blocked_until > clock_timestamp()
FOR UPDATE OF a

-- name: move_run
-- The run that waits for the block comes back with it.
UPDATE control.runs SET blocked_until = to_timestamp(%(until)s)
WHERE integration = %(integration)s AND account_key = %(account_key)s AND state = 'deferred'
  AND blocked_until = %(blocked_until)s

-- name: move_block
-- The block ends earlier: the limits were raised since, or what was lowered is over.
UPDATE control.accounts_synced SET blocked_until = to_timestamp(%(until)s)
WHERE integration = %(integration)s AND account_key = %(account_key)s
