-- People, their sessions and sign-in attempts. common/store/people.py runs these; the caller commits.

-- name: lock_people
-- Two processes that start together make one first admin.
SELECT pg_advisory_xact_lock(hashtext('icc:people'))

-- name: any_person
-- Whether anybody can sign in at all.
SELECT EXISTS (SELECT FROM control.people) AS found

-- name: add
-- A new local person; no row when the name is taken.
INSERT INTO control.people (id, issuer, subject, name, role, password_hash)
VALUES (%(id)s, 'local', %(subject)s, %(name)s, %(role)s, %(password_hash)s)
ON CONFLICT DO NOTHING
RETURNING id

-- name: add_provided
-- A person whom a provider vouches for, at their first sign-in.
INSERT INTO control.people (id, issuer, subject, name, role, role_from)
VALUES (%(id)s, %(issuer)s, %(subject)s, %(name)s, %(role)s, 'provider')

-- name: local_by_name
-- A local person by the name they sign in with.
SELECT id, name, role, password_hash, disabled_at FROM control.people WHERE issuer = 'local' AND subject = %(subject)s

-- name: provided
-- A person by what their provider calls them.
SELECT id, name, role, password_hash, disabled_at, role_from FROM control.people
WHERE issuer = %(issuer)s AND subject = %(subject)s

-- name: named
-- Anybody, by the name that `list` and the audit log show.
SELECT id, name, role, password_hash, disabled_at, issuer FROM control.people
WHERE lower(name) = lower(%(name)s) OR (issuer = 'local' AND subject = %(subject)s)
ORDER BY issuer = 'local' DESC
LIMIT 1

-- name: everyone
-- Every person and how many sessions they have open.
SELECT p.id, p.issuer, p.subject, p.name, p.role, p.role_from, p.disabled_at, p.created_at, p.last_sign_in_at,
       (SELECT count(*) FROM control.sessions AS s
        WHERE s.person_id = p.id AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()) AS open_sessions
FROM control.people AS p
ORDER BY p.subject
LIMIT 1000

-- name: set_password
-- Another password.
UPDATE control.people SET password_hash = %(password_hash)s WHERE id = %(id)s

-- name: set_role
-- Another role, given by hand or by the provider.
UPDATE control.people SET role = %(role)s, role_from = %(role_from)s WHERE id = %(id)s

-- name: set_disabled
-- Shut out, or let in again.
UPDATE control.people SET disabled_at = CASE WHEN %(disabled)s THEN clock_timestamp() END WHERE id = %(id)s

-- name: signed_in
-- Remember when somebody signed in last.
UPDATE control.people SET last_sign_in_at = clock_timestamp() WHERE id = %(id)s

-- name: end_sessions_of
-- End every session of a person: a changed password, role or access takes effect at once.
UPDATE control.sessions SET ended_at = clock_timestamp() WHERE person_id = %(id)s AND ended_at IS NULL

-- name: start_session
-- A new session; only the hash of its token is stored.
INSERT INTO control.sessions (id, token_hash, person_id, expires_at, address)
VALUES (%(id)s, %(token_hash)s, %(person_id)s, clock_timestamp() + make_interval(secs => %(seconds)s), %(address)s)

-- name: session
-- Who a token belongs to, when the session is neither over, idle too long, nor of a person shut out.
SELECT s.id, s.person_id, s.address, p.name, p.role,
       extract(epoch FROM clock_timestamp() - s.last_active_at)::double precision AS idle_seconds
FROM control.sessions AS s
JOIN control.people AS p ON p.id = s.person_id
WHERE s.token_hash = %(token_hash)s AND s.ended_at IS NULL AND s.expires_at > clock_timestamp()
  AND s.last_active_at > clock_timestamp() - make_interval(secs => %(idle_seconds)s) AND p.disabled_at IS NULL

-- name: touch_session
-- A person did something.
UPDATE control.sessions SET last_active_at = clock_timestamp() WHERE id = %(id)s AND ended_at IS NULL

-- name: end_session
-- Sign-out.
UPDATE control.sessions SET ended_at = clock_timestamp() WHERE token_hash = %(token_hash)s AND ended_at IS NULL
RETURNING person_id

-- name: note_attempt
-- An attempt to sign in; it counts as failed until it has succeeded.
INSERT INTO control.sign_in_attempts (account, address, succeeded) VALUES (%(account)s, %(address)s, false) RETURNING id

-- name: attempt_succeeded
-- The attempt was right.
UPDATE control.sign_in_attempts SET succeeded = true WHERE id = %(id)s

-- name: knows
-- Whether somebody has signed in to this account from this address of late.
SELECT EXISTS (
    SELECT FROM control.sessions AS s
    JOIN control.people AS p ON p.id = s.person_id
    WHERE p.issuer = 'local' AND p.subject = %(account)s AND s.address = %(address)s
) AS known

-- name: failures
-- Failed attempts of the last minutes: for the account since its last success, and from the address. Who is known here
-- waits for failures of this address only: a stranger's guesses elsewhere do not slow the account's own person.
SELECT (SELECT count(*) FROM control.sign_in_attempts
        WHERE account = %(account)s AND NOT succeeded AND at > clock_timestamp() - make_interval(mins => %(minutes)s)
          AND (NOT %(known)s OR address = %(address)s)
          AND at > coalesce((SELECT max(at) FROM control.sign_in_attempts
                             WHERE account = %(account)s AND succeeded), '-infinity')) AS of_account,
       (SELECT count(*) FROM control.sign_in_attempts
        WHERE address = %(address)s AND NOT succeeded
          AND at > clock_timestamp() - make_interval(mins => %(minutes)s)) AS of_address

-- name: forget_attempts
-- Attempts older than a day serve nobody.
DELETE FROM control.sign_in_attempts WHERE at < clock_timestamp() - interval '1 day'

-- name: forget_sessions
-- Sessions over for a month serve nobody.
DELETE FROM control.sessions WHERE coalesce(ended_at, expires_at) < clock_timestamp() - interval '30 days'
