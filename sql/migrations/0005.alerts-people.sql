-- Alerts and their deliveries; people, sessions and tokens.
-- depends: 0004.telemetry-dead-letters

CREATE TABLE control.alerts (
    id uuid PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    rule text NOT NULL,
    cause text NOT NULL,
    state text NOT NULL DEFAULT 'firing' CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    details jsonb NOT NULL DEFAULT '{}',
    fired_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reminded_at timestamptz,
    acknowledged_at timestamptz,
    acknowledged_by text,
    acknowledge_reason text,
    resolved_at timestamptz,
    CONSTRAINT alerts_resolved_has_time CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    CONSTRAINT alerts_acknowledged_has_person CHECK (state <> 'acknowledged' OR acknowledged_by IS NOT NULL)
);
CREATE UNIQUE INDEX alerts_one_firing ON control.alerts (integration, account_key, rule, cause) WHERE state <> 'resolved';
CREATE TRIGGER alerts_legal_moves BEFORE UPDATE OF state ON control.alerts
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves('firing>acknowledged', 'firing>resolved', 'acknowledged>resolved', 'acknowledged>firing');

CREATE TABLE control.alert_deliveries (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    alert_id uuid REFERENCES control.alerts (id),
    channel text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('firing', 'reminder', 'resolved', 'test')),
    body jsonb NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    accepted_at timestamptz,
    given_up_at timestamptz,
    last_answer jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX alert_deliveries_waiting ON control.alert_deliveries (next_attempt_at)
    WHERE accepted_at IS NULL AND given_up_at IS NULL;

CREATE TABLE control.people (
    id uuid PRIMARY KEY,
    issuer text NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    role text CHECK (role IN ('viewer', 'admin')),
    password_hash text,
    disabled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_sign_in_at timestamptz,
    UNIQUE (issuer, subject),
    CONSTRAINT people_local_has_password CHECK ((issuer = 'local') = (password_hash IS NOT NULL))
);
COMMENT ON TABLE control.people IS 'A person is (issuer, subject); issuer "local" signs in with a password (argon2).';

CREATE TABLE control.sessions (
    id uuid PRIMARY KEY,
    token_hash bytea NOT NULL UNIQUE,
    person_id uuid NOT NULL REFERENCES control.people (id),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_active_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    ended_at timestamptz,
    address text
);
COMMENT ON COLUMN control.sessions.token_hash IS 'SHA-256 of the cookie''s value; the value itself is nowhere.';
CREATE INDEX sessions_person ON control.sessions (person_id) WHERE ended_at IS NULL;

CREATE TABLE control.sign_in_attempts (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    account text NOT NULL,
    address text NOT NULL,
    succeeded boolean NOT NULL
);
CREATE INDEX sign_in_attempts_account ON control.sign_in_attempts (account, at DESC);
CREATE INDEX sign_in_attempts_address ON control.sign_in_attempts (address, at DESC);

CREATE TABLE control.api_tokens (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    role text NOT NULL CHECK (role IN ('viewer', 'admin')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    last_used_at timestamptz
);

CREATE TABLE control.idempotency_keys (
    key text NOT NULL,
    actor text NOT NULL,
    request_hash bytea NOT NULL,
    answer_status integer,
    answer_body jsonb,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (actor, key)
);
