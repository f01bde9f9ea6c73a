-- What comes without a session, counted instead of stored one by one. common/store/anonymous.py runs these; the caller commits.

-- name: add
-- Add to the present minute (by the database's clock) of one kind.
INSERT INTO control.anonymous_tally (minute, kind, requests, address)
VALUES (date_trunc('minute', clock_timestamp()), %(kind)s, %(requests)s, %(address)s)
ON CONFLICT (minute, kind)
DO UPDATE SET requests = anonymous_tally.requests + excluded.requests, address = excluded.address

-- name: take_over
-- Take the minutes that are over; of several processes one gets each.
DELETE FROM control.anonymous_tally WHERE minute < date_trunc('minute', clock_timestamp() - make_interval(secs => %(patience_seconds)s))
RETURNING minute, kind, requests, address
