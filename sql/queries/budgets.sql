-- The request budget's one row per account. daemon/guard/limiter.py runs these; the caller commits.

-- name: ensure
-- The row exists from the first request on.
INSERT INTO control.budgets (integration, account_key) VALUES (%(integration)s, %(account_key)s) ON CONFLICT DO NOTHING

-- name: lock
-- The row, locked: permits are given one at a time, over all daemons, by the database's clock (epoch seconds).
SELECT windows, extract(epoch FROM clock_timestamp())::double precision AS now
FROM control.budgets
WHERE integration = %(integration)s AND account_key = %(account_key)s
FOR UPDATE

-- name: store
-- The windows after a decision.
UPDATE control.budgets SET windows = %(windows)s, updated_at = clock_timestamp()
WHERE integration = %(integration)s AND account_key = %(account_key)s
