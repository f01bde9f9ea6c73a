-- Integrations and their accounts, the daemons that serve them, and the commands people give.
-- depends: 0001.schemas-and-guards

CREATE TABLE control.integrations (
    key text PRIMARY KEY CHECK (key ~ '^[a-z][a-z0-9_]*$'),
    label text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE control.integrations IS 'One row per entry of common/catalog.py that a daemon has served here.';

CREATE TABLE control.accounts_synced (
    integration text NOT NULL REFERENCES control.integrations (key),
    account_key text NOT NULL DEFAULT 'main',
    source_kind text CHECK (source_kind IN ('live', 'drill')),
    identity jsonb,
    identity_checked_at timestamptz,
    paused_at timestamptz,
    paused_by text,
    paused_reason text,
    blocked_until timestamptz,
    blocked_code text,
    settings jsonb NOT NULL DEFAULT '{}',
    findings jsonb NOT NULL DEFAULT '[]',
    held boolean NOT NULL DEFAULT false,
    published_by uuid,
    published_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (integration, account_key),
    CONSTRAINT accounts_synced_pause_is_whole
        CHECK ((paused_at IS NULL) = (paused_by IS NULL) AND (paused_at IS NULL) = (paused_reason IS NULL)),
    CONSTRAINT accounts_synced_block_is_whole CHECK ((blocked_until IS NULL) = (blocked_code IS NULL))
);
COMMENT ON TABLE control.accounts_synced IS
    'One row per vendor account: whose it is, whether it is paused or blocked, and what the daemon published about it.';
COMMENT ON COLUMN control.accounts_synced.source_kind IS
    'Where the synced rows come from; drill rows and real rows never share a database.';
COMMENT ON COLUMN control.accounts_synced.identity IS 'The vendor''s /users/me, as first seen or last confirmed by an admin.';
COMMENT ON COLUMN control.accounts_synced.blocked_until IS 'The vendor or our budget said "come back later"; no run starts before.';
COMMENT ON COLUMN control.accounts_synced.settings IS 'Settings as the daemon runs them, masked before they were written.';
COMMENT ON COLUMN control.accounts_synced.held IS 'An error finding holds the schedule until the setting is mended.';

CREATE TABLE control.daemons (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('service', 'once')),
    hostname text NOT NULL,
    boot_id text NOT NULL,
    pid integer NOT NULL,
    process_started_at timestamptz NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_at timestamptz NOT NULL DEFAULT now(),
    heartbeat_seconds double precision NOT NULL,
    stopped_at timestamptz,
    doing text NOT NULL DEFAULT 'starting',
    listening boolean NOT NULL DEFAULT false
);
COMMENT ON COLUMN control.daemons.boot_id IS 'With hostname, pid and start time it tells a dead process of this machine at once.';
COMMENT ON COLUMN control.daemons.listening IS 'It heard its own nonce over LISTEN; otherwise it polls every 0.3 s.';
CREATE INDEX daemons_alive ON control.daemons (heartbeat_at) WHERE stopped_at IS NULL;

CREATE TABLE control.admin_logs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor text NOT NULL,
    role text,
    source text NOT NULL CHECK (source IN ('page', 'api', 'cli', 'schedule', 'daemon', 'database')),
    address text,
    action text NOT NULL,
    integration text,
    account_key text,
    summary jsonb NOT NULL DEFAULT '{}',
    result text NOT NULL,
    reason text,
    command_id uuid,
    outcome_of bigint REFERENCES control.admin_logs (id),
    session_user_name text NOT NULL DEFAULT session_user
);
COMMENT ON TABLE control.admin_logs IS 'Every action of a person, refusals included; the outcome of a command is a second row. Append-only.';
CREATE INDEX admin_logs_at ON control.admin_logs (at);
CREATE TRIGGER admin_logs_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.admin_logs
    FOR EACH STATEMENT EXECUTE FUNCTION control.append_only();

CREATE TABLE control.commands (
    id uuid PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    action text NOT NULL,
    payload jsonb NOT NULL DEFAULT '{}',
    actor text NOT NULL,
    audit_id bigint REFERENCES control.admin_logs (id),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    seal text NOT NULL,
    state text NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'claimed', 'done', 'failed', 'refused', 'expired')),
    addressed_to uuid,
    claimed_by uuid,
    claimed_at timestamptz,
    finished_at timestamptz,
    result jsonb,
    run_id uuid,
    CONSTRAINT commands_claim_is_whole CHECK ((claimed_by IS NULL) = (claimed_at IS NULL)),
    CONSTRAINT commands_claimed_has_claimer CHECK (state <> 'claimed' OR claimed_by IS NOT NULL),
    CONSTRAINT commands_pending_has_none CHECK (state <> 'pending' OR claimed_by IS NULL),
    CONSTRAINT commands_end_has_time CHECK ((state IN ('done', 'failed', 'refused', 'expired')) = (finished_at IS NOT NULL))
);
COMMENT ON TABLE control.commands IS 'What people and the scheduler asked for. Claimed with SKIP LOCKED; the seal is an HMAC under a key outside the database.';
COMMENT ON COLUMN control.commands.addressed_to IS 'Only this daemon may claim it (a foreground run); null: any daemon.';
-- The claim reads only what waits, so a million finished commands cost it nothing.
CREATE INDEX commands_waiting ON control.commands (created_at) WHERE state = 'pending';
CREATE INDEX commands_claimed ON control.commands (claimed_by) WHERE state = 'claimed';
CREATE INDEX commands_recent ON control.commands (integration, account_key, created_at DESC);
CREATE TRIGGER commands_legal_moves BEFORE UPDATE OF state ON control.commands
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves(
        'pending>claimed', 'pending>refused', 'pending>expired',
        'claimed>done', 'claimed>failed', 'claimed>refused', 'claimed>pending');
