-- Runs, what each did per entity, the passes that outlive them, and the lease that makes one run at a time.
-- depends: 0002.accounts-daemons-commands

CREATE TABLE control.runs (
    id uuid PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    mode text NOT NULL CHECK (mode IN ('delta', 'backfill', 'since', 'requeue')),
    entities text[] NOT NULL CHECK (cardinality(entities) > 0),
    since timestamptz,
    dry_run boolean NOT NULL DEFAULT false,
    state text NOT NULL DEFAULT 'queued' CHECK (state IN
        ('queued', 'running', 'stopping', 'succeeded', 'incomplete', 'failed', 'stopped', 'interrupted', 'deferred')),
    trigger text NOT NULL CHECK (trigger IN ('page', 'api', 'cli', 'schedule', 'continuation')),
    requested_by text NOT NULL,
    command_id uuid REFERENCES control.commands (id),
    continues_run_id uuid REFERENCES control.runs (id),
    daemon_id uuid,
    term bigint,
    queued_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at timestamptz,
    stop_requested_at timestamptz,
    stop_requested_by text,
    finished_at timestamptz,
    blocked_until timestamptz,
    error jsonb,
    warnings jsonb NOT NULL DEFAULT '[]',
    requests integer NOT NULL DEFAULT 0,
    retries integer NOT NULL DEFAULT 0,
    waited_seconds double precision NOT NULL DEFAULT 0,
    version text,
    CONSTRAINT runs_since_has_time CHECK ((mode = 'since') = (since IS NOT NULL)),
    CONSTRAINT runs_queued_not_started CHECK (state <> 'queued' OR started_at IS NULL),
    CONSTRAINT runs_active_has_lease CHECK (state NOT IN ('running', 'stopping')
        OR (started_at IS NOT NULL AND term IS NOT NULL AND daemon_id IS NOT NULL)),
    CONSTRAINT runs_stopping_was_asked CHECK (state NOT IN ('stopping', 'stopped') OR stop_requested_at IS NOT NULL),
    CONSTRAINT runs_end_has_time CHECK ((state IN
        ('succeeded', 'incomplete', 'failed', 'stopped', 'interrupted', 'deferred')) = (finished_at IS NOT NULL)),
    CONSTRAINT runs_failed_says_why CHECK (state <> 'failed' OR error IS NOT NULL),
    CONSTRAINT runs_deferred_says_until CHECK (state <> 'deferred' OR blocked_until IS NOT NULL)
);
-- Law 1: one active run per account, whatever the code believes.
CREATE UNIQUE INDEX runs_one_active ON control.runs (integration, account_key) WHERE state IN ('running', 'stopping');
CREATE INDEX runs_recent ON control.runs (integration, account_key, queued_at DESC);
CREATE INDEX runs_deferred ON control.runs (blocked_until) WHERE state = 'deferred';
CREATE INDEX runs_continued ON control.runs (continues_run_id) WHERE continues_run_id IS NOT NULL;
CREATE TRIGGER runs_legal_moves BEFORE UPDATE OF state ON control.runs
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves(
        'queued>running', 'queued>stopped', 'running>stopping',
        'running>succeeded', 'running>incomplete', 'running>failed', 'running>interrupted', 'running>deferred',
        'stopping>stopped', 'stopping>succeeded', 'stopping>incomplete', 'stopping>failed', 'stopping>interrupted',
        'stopping>deferred');
COMMENT ON COLUMN control.runs.term IS 'The lease''s term under which it writes; a higher term in control.leases ends its right to.';
COMMENT ON COLUMN control.runs.blocked_until IS 'When a deferred run goes on by itself.';

CREATE TABLE control.passes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    entity text NOT NULL,
    mode text NOT NULL CHECK (mode IN ('delta', 'backfill', 'since')),
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'complete', 'abandoned')),
    page_size integer NOT NULL CHECK (page_size BETWEEN 1 AND 1000),
    sort text NOT NULL,
    filter jsonb NOT NULL DEFAULT '{}',
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    next_page integer NOT NULL DEFAULT 1 CHECK (next_page >= 1),
    rows_per_page integer,
    total bigint,
    received bigint NOT NULL DEFAULT 0,
    watermark_candidate timestamptz,
    last_page_ids text[],
    removable boolean NOT NULL DEFAULT true,
    finished_at timestamptz,
    first_run_id uuid NOT NULL,
    last_run_id uuid NOT NULL,
    CONSTRAINT passes_end_has_time CHECK ((state = 'open') = (finished_at IS NULL))
);
COMMENT ON TABLE control.passes IS 'One reading of an entity''s list, from its first page to its last; it outlives the run that began it.';
COMMENT ON COLUMN control.passes.watermark_candidate IS 'Becomes the entity''s watermark when the pass is complete, never before.';
COMMENT ON COLUMN control.passes.removable IS 'False once the pass can no longer prove absence (bare array, restarted vendor list …).';
CREATE UNIQUE INDEX passes_one_open ON control.passes (integration, account_key, entity, mode) WHERE state = 'open';
CREATE INDEX passes_latest ON control.passes (integration, account_key, entity, finished_at DESC) WHERE state = 'complete';
CREATE TRIGGER passes_legal_moves BEFORE UPDATE OF state ON control.passes
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves('open>complete', 'open>abandoned');

-- Unlogged: it is rebuilt by reading again, and writes no WAL. After a crash it is empty; a resume notices and starts again.
CREATE UNLOGGED TABLE control.seen_ids (
    pass_id bigint NOT NULL,
    page integer NOT NULL,
    ids text[] NOT NULL,
    PRIMARY KEY (pass_id, page)
);
COMMENT ON TABLE control.seen_ids IS 'Ids that a backfill pass met, one row per page; the proof of absence behind every removal.';

CREATE TABLE control.run_entities (
    run_id uuid NOT NULL REFERENCES control.runs (id),
    entity text NOT NULL,
    position smallint NOT NULL,
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'complete', 'partial', 'failed', 'forbidden', 'skipped')),
    pass_id bigint REFERENCES control.passes (id),
    resumed_at_page integer,
    page integer NOT NULL DEFAULT 0,
    pages_expected integer,
    total bigint,
    received bigint NOT NULL DEFAULT 0,
    inserted bigint NOT NULL DEFAULT 0,
    updated bigint NOT NULL DEFAULT 0,
    unchanged bigint NOT NULL DEFAULT 0,
    removed bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    dead_new bigint NOT NULL DEFAULT 0,
    duplicates bigint NOT NULL DEFAULT 0,
    started_at timestamptz,
    finished_at timestamptz,
    error jsonb,
    warnings jsonb NOT NULL DEFAULT '[]',
    PRIMARY KEY (run_id, entity),
    CONSTRAINT run_entities_waiting_not_started CHECK (state <> 'waiting' OR started_at IS NULL),
    CONSTRAINT run_entities_running_has_start CHECK (state <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT run_entities_end_has_time CHECK (
        (state IN ('complete', 'partial', 'failed', 'forbidden', 'skipped')) = (finished_at IS NOT NULL)),
    CONSTRAINT run_entities_failed_says_why CHECK (state NOT IN ('failed', 'forbidden') OR error IS NOT NULL)
);
CREATE TRIGGER run_entities_legal_moves BEFORE UPDATE OF state ON control.run_entities
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves(
        'waiting>running', 'waiting>skipped', 'running>complete', 'running>partial', 'running>failed', 'running>forbidden');

CREATE TABLE control.leases (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    term bigint NOT NULL DEFAULT 0,
    holder uuid,
    run_id uuid,
    acquired_at timestamptz,
    expires_at timestamptz,
    PRIMARY KEY (integration, account_key),
    CONSTRAINT leases_hold_is_whole CHECK ((holder IS NULL) = (run_id IS NULL) AND (holder IS NULL) = (expires_at IS NULL))
);
COMMENT ON TABLE control.leases IS
    'Who may write an account. The term only rises; a page transaction''s last statement locks this row and checks its term.';

CREATE TABLE control.budgets (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    windows jsonb NOT NULL DEFAULT '{}',
    lowered_to jsonb,
    lowered_until timestamptz,
    lowered_by text,
    lowered_reason text,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (integration, account_key)
);
COMMENT ON TABLE control.budgets IS 'Our own count of requests per second, minute and hour, shared by runs, pings and requeues.';

CREATE TABLE control.breakers (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    state text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open', 'forced_open', 'forced_closed')),
    consecutive_failures integer NOT NULL DEFAULT 0,
    outcomes jsonb NOT NULL DEFAULT '[]',
    opened_at timestamptz,
    cool_down_until timestamptz,
    probe_token uuid,
    probe_expires_at timestamptz,
    forced_by text,
    forced_reason text,
    forced_until timestamptz,
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (integration, account_key),
    CONSTRAINT breakers_open_has_time CHECK (state <> 'open' OR cool_down_until IS NOT NULL),
    CONSTRAINT breakers_force_is_explained CHECK (state NOT IN ('forced_open', 'forced_closed')
        OR (forced_by IS NOT NULL AND forced_reason IS NOT NULL AND forced_until IS NOT NULL)),
    CONSTRAINT breakers_probe_is_whole CHECK ((probe_token IS NULL) = (probe_expires_at IS NULL))
);
CREATE TRIGGER breakers_legal_moves BEFORE UPDATE OF state ON control.breakers
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves(
        'closed>open', 'open>half_open', 'half_open>closed', 'half_open>open',
        'closed>forced_open', 'open>forced_open', 'half_open>forced_open', 'forced_closed>forced_open',
        'closed>forced_closed', 'open>forced_closed', 'half_open>forced_closed', 'forced_open>forced_closed',
        'forced_open>closed', 'forced_closed>closed');

CREATE TABLE control.schedule_slots (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    kind text NOT NULL CHECK (kind IN ('delta', 'full', 'continuation')),
    due_at timestamptz NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('started', 'skipped')),
    reason text,
    command_id uuid,
    taken_by uuid NOT NULL,
    taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (integration, account_key, kind, due_at),
    CONSTRAINT schedule_slots_skip_says_why CHECK (outcome <> 'skipped' OR reason IS NOT NULL)
);
COMMENT ON TABLE control.schedule_slots IS 'Each due time once, whichever daemon saw it first.';

CREATE TABLE control.confirmations (
    id uuid PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    kind text NOT NULL CHECK (kind IN ('account_changed', 'mass_removal')),
    entity text,
    run_id uuid,
    pass_id bigint,
    details jsonb NOT NULL,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'confirmed', 'rejected', 'superseded')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    answered_at timestamptz,
    answered_by text,
    answer_reason text,
    CONSTRAINT confirmations_removal_names_entity CHECK ((kind = 'mass_removal') = (entity IS NOT NULL)),
    CONSTRAINT confirmations_answer_is_whole CHECK ((state = 'open') = (answered_at IS NULL)),
    CONSTRAINT confirmations_answer_has_person CHECK (state NOT IN ('confirmed', 'rejected') OR answered_by IS NOT NULL)
);
COMMENT ON TABLE control.confirmations IS 'What only an admin may decide: a changed vendor account, a mass removal.';
CREATE UNIQUE INDEX confirmations_one_open ON control.confirmations (integration, account_key, kind, coalesce(entity, ''))
    WHERE state = 'open';
CREATE TRIGGER confirmations_legal_moves BEFORE UPDATE OF state ON control.confirmations
    FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state)
    EXECUTE FUNCTION control.only_legal_moves('open>confirmed', 'open>rejected', 'open>superseded');

CREATE TABLE control.dry_run_reports (
    run_id uuid NOT NULL REFERENCES control.runs (id),
    entity text NOT NULL,
    report jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, entity)
);

CREATE TABLE control.schema_diffs (
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    entity text NOT NULL,
    run_id uuid,
    sampled integer NOT NULL,
    diff jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (integration, account_key, entity)
);

CREATE TABLE control.pings (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    integration text NOT NULL,
    account_key text NOT NULL DEFAULT 'main',
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ok boolean NOT NULL,
    code text,
    reason text,
    remedy text,
    base_url text NOT NULL,
    authenticated boolean,
    sample_count integer,
    elapsed_ms double precision NOT NULL,
    rate_limit jsonb,
    requested_by text NOT NULL,
    command_id uuid,
    CONSTRAINT pings_failure_says_why CHECK (ok OR (code IS NOT NULL AND reason IS NOT NULL))
);
CREATE INDEX pings_latest ON control.pings (integration, account_key, at DESC);
