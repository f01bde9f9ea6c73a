-- The circuit breaker's one row per account. common/store/breakers.py runs these; the caller commits.

-- name: ensure
-- The row exists from the first failure on.
INSERT INTO control.breakers (integration, account_key) VALUES (%(integration)s, %(account_key)s) ON CONFLICT DO NOTHING

-- name: lock
-- The row, locked: one probe over all daemons, by the database's clock.
SELECT *, extract(epoch FROM cool_down_until)::double precision AS cool_down_epoch,
       extract(epoch FROM probe_expires_at)::double precision AS probe_epoch,
       extract(epoch FROM forced_until)::double precision AS forced_epoch,
       extract(epoch FROM clock_timestamp())::double precision AS now
FROM control.breakers
WHERE integration = %(integration)s AND account_key = %(account_key)s
FOR UPDATE

-- name: is_quiet
-- Whether requests may go out without asking further, and a success need not be written: none failed just before it.
SELECT (state = 'closed' AND consecutive_failures = 0) OR (state = 'forced_closed' AND forced_until > clock_timestamp()) AS is_quiet
FROM control.breakers
WHERE integration = %(integration)s AND account_key = %(account_key)s

-- name: store
-- The state after an admission, an outcome or an admin's force.
UPDATE control.breakers
SET state = %(state)s, consecutive_failures = %(consecutive_failures)s, outcomes = %(outcomes)s,
    opened_at = CASE WHEN %(state)s IN ('open', 'forced_open') AND state NOT IN ('open', 'half_open', 'forced_open')
                     THEN clock_timestamp()
                     WHEN %(state)s IN ('closed', 'forced_closed') THEN NULL ELSE opened_at END,
    cool_down_until = to_timestamp(%(cool_down_until)s), probe_token = %(probe_token)s,
    probe_expires_at = to_timestamp(%(probe_expires_at)s), forced_until = to_timestamp(%(forced_until)s),
    forced_by = %(forced_by)s, forced_reason = %(forced_reason)s, updated_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s
