-- Tokens of programs. common/store/api_tokens.py runs these; the caller commits.

-- name: lock_tokens
-- Two terminals that make a token of one name at once are served one after the other.
SELECT pg_advisory_xact_lock(hashtext('icc:api_tokens'))

-- name: living
-- The token of that name that still opens the API.
SELECT id, name, role, expires_at FROM control.api_tokens
WHERE name = %(name)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())

-- name: add
-- A new token; only its hash is stored.
INSERT INTO control.api_tokens (id, name, token_hash, role, created_by, expires_at)
VALUES (%(id)s, %(name)s, %(token_hash)s, %(role)s, %(created_by)s, clock_timestamp() + make_interval(days => %(days)s))
RETURNING expires_at

-- name: by_hash
-- Whose token this is, when it still opens the API.
SELECT id, name, role, last_used_at IS NULL OR last_used_at < clock_timestamp() - interval '1 minute' AS is_to_be_noted
FROM control.api_tokens
WHERE token_hash = %(token_hash)s AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > clock_timestamp())

-- name: note_use
-- Remember that it was used, to the minute: a write at each request would cost more than the request.
UPDATE control.api_tokens SET last_used_at = clock_timestamp() WHERE id = %(id)s

-- name: revoke
-- The token opens nothing any more, from the next request on.
UPDATE control.api_tokens SET revoked_at = clock_timestamp() WHERE id = %(id)s

-- name: everything
-- Every token, the newest first.
SELECT name, role, created_at, created_by, expires_at, revoked_at, last_used_at,
       coalesce(expires_at <= clock_timestamp(), false) AS has_expired
FROM control.api_tokens
ORDER BY created_at DESC
LIMIT 1000
