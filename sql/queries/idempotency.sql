-- Answers kept for a day under a caller's Idempotency-Key. common/store/idempotency.py runs these; each commits by itself.

-- name: claim
-- The key is taken when nobody has it, or it is over a day old.
INSERT INTO control.idempotency_keys AS k (actor, key, request_hash)
VALUES (%(actor)s, %(key)s, %(request_hash)s)
ON CONFLICT (actor, key) DO UPDATE
SET request_hash = excluded.request_hash, answer_status = NULL, answer_body = NULL, created_at = clock_timestamp()
WHERE k.created_at < clock_timestamp() - interval '1 day'

-- name: look
-- What stands under a key.
SELECT request_hash, answer_status, answer_body, created_at
FROM control.idempotency_keys
WHERE actor = %(actor)s AND key = %(key)s

-- name: keep
-- The answer, for whoever asks the same again; the first one stays.
UPDATE control.idempotency_keys SET answer_status = %(status)s, answer_body = %(body)s
WHERE actor = %(actor)s AND key = %(key)s AND answer_status IS NULL

-- name: release
-- Nothing was done: the key may be used again.
DELETE FROM control.idempotency_keys WHERE actor = %(actor)s AND key = %(key)s AND answer_status IS NULL

-- name: forget_old
-- Keys are kept for a day.
DELETE FROM control.idempotency_keys WHERE created_at < clock_timestamp() - interval '1 day'
