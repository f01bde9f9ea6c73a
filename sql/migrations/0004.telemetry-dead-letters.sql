-- Events, rate-limit samples, dead letters and grouped errors.
-- depends: 0003.runs-passes-leases

CREATE TABLE control.event_head (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    last_id bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE control.event_head IS
    'The last event id given out. One locked row makes ids dense and in commit order, so "id > last seen" misses nothing.';
INSERT INTO control.event_head DEFAULT VALUES;

CREATE TABLE control.events (
    id bigint NOT NULL,
    ts timestamptz NOT NULL,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    run_id uuid,
    entity text,
    page integer,
    level text NOT NULL CHECK (level IN ('debug', 'info', 'warn', 'error')),
    code text NOT NULL,
    msg text NOT NULL,
    rows integer,
    data jsonb,
    PRIMARY KEY (id, ts)
) PARTITION BY RANGE (ts);
CREATE INDEX events_run ON control.events (run_id, ts);
CREATE INDEX events_entity ON control.events (entity, ts);
CREATE INDEX events_trouble ON control.events (ts) WHERE level IN ('warn', 'error');
COMMENT ON TABLE control.events IS 'What happened, a line each; partitions by day, made ahead, dropped by retention.';

-- Makes the partitions from today on. CREATE, CHECK, ATTACH: attaching a checked table does not scan or long-lock the parent.
CREATE FUNCTION control.make_event_partitions(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first_day date := (now() AT TIME ZONE 'UTC')::date - 1;
    day date;
    name text;
    made integer := 0;
BEGIN
    FOR day IN SELECT first_day + n FROM generate_series(0, days_ahead + 1) AS n LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('control.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE control.%I (LIKE control.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
            EXECUTE format('ALTER TABLE control.%I ADD CONSTRAINT %I CHECK (ts >= %L AND ts < %L)',
                name, name || '_day', day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
            EXECUTE format('ALTER TABLE control.events ATTACH PARTITION control.%I FOR VALUES FROM (%L) TO (%L)',
                name, day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
            EXECUTE format('ALTER TABLE control.%I DROP CONSTRAINT %I', name, name || '_day');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
DO $$ BEGIN PERFORM control.make_event_partitions(7); END $$;

CREATE TABLE control.series_5m (
    bucket timestamptz NOT NULL,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    entity text NOT NULL DEFAULT '',
    requests bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (bucket, integration, account_key, entity)
);
COMMENT ON TABLE control.series_5m IS 'Five-minute roll-up behind every 24-hour series, so that a chart never counts events.';

CREATE TABLE control.rate_limit_samples (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ts timestamptz NOT NULL DEFAULT clock_timestamp(),
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    run_id uuid,
    decision text NOT NULL CHECK (decision IN ('sent', 'waited', 'slowed', 'deferred')),
    waited_seconds double precision NOT NULL DEFAULT 0,
    source text NOT NULL CHECK (source IN ('counted', 'header')),
    request_limit integer,
    remaining integer,
    reset_at timestamptz,
    used_minute integer,
    limit_minute integer,
    used_hour integer,
    limit_hour integer
);
COMMENT ON COLUMN control.rate_limit_samples.source IS 'header: the vendor said so; counted: our own count, since the vendor says nothing.';
CREATE INDEX rate_limit_samples_latest ON control.rate_limit_samples (integration, account_key, ts DESC);

CREATE TABLE control.dead_letters (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    entity text NOT NULL,
    record_id text,
    payload text NOT NULL,
    payload_hash text NOT NULL,
    code text NOT NULL,
    reason text NOT NULL,
    fingerprint text NOT NULL,
    page integer,
    run_id uuid,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'queued', 'recovered', 'discarded')),
    attempts integer NOT NULL DEFAULT 1,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    finished_by text,
    finish_reason text,
    CONSTRAINT dead_letters_end_has_time CHECK ((state IN ('recovered', 'discarded')) = (finished_at IS NOT NULL)),
    CONSTRAINT dead_letters_discard_says_why CHECK (state <> 'discarded' OR (finished_by IS NOT NULL AND finish_reason IS NOT NULL))
);
COMMENT ON COLUMN control.dead_letters.payload IS 'The record as it came, as JSON text: jsonb could not hold every bad record.';
-- One open letter per record: seen again it is counted, not stored again.
CREATE UNIQUE INDEX dead_letters_one_open ON control.dead_letters
    (integration, account_key, entity, coalesce(record_id, payload_hash)) WHERE state IN ('open', 'queued');
CREATE INDEX dead_letters_record ON control.dead_letters (integration, account_key, entity, record_id);
CREATE INDEX dead_letters_run ON control.dead_letters (run_id);
CREATE TRIGGER dead_letters_legal_moves BEFORE UPDATE OF state ON control.dead_letters
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves(
        'open>queued', 'open>recovered', 'open>discarded', 'queued>open', 'queued>recovered', 'queued>discarded');

CREATE TABLE control.error_groups (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    fingerprint text NOT NULL,
    fingerprint_version integer NOT NULL,
    code text NOT NULL,
    status integer,
    path_template text,
    snippet text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    count bigint NOT NULL DEFAULT 1,
    run_ids uuid[] NOT NULL DEFAULT '{}',
    PRIMARY KEY (integration, account_key, fingerprint)
);

CREATE TABLE control.bulk_actions (
    id uuid PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    action text NOT NULL CHECK (action IN ('requeue', 'discard')),
    filter jsonb NOT NULL,
    reason text,
    actor text NOT NULL,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'cancelled')),
    counted bigint NOT NULL,
    done bigint NOT NULL DEFAULT 0,
    verdict text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CONSTRAINT bulk_actions_end_has_time CHECK ((state IN ('done', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT bulk_actions_discard_says_why CHECK (action <> 'discard' OR reason IS NOT NULL)
);
CREATE TRIGGER bulk_actions_legal_moves BEFORE UPDATE OF state ON control.bulk_actions
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves('queued>running', 'queued>cancelled', 'running>done', 'running>cancelled', 'running>queued');
