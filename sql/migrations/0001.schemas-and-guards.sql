-- Schemas, and the three guards that later tables use: legal moves, append-only, day partitions.
-- Applied by common/store/migrate.py, one transaction a file, under an advisory lock.
-- depends:

CREATE SCHEMA IF NOT EXISTS control;
CREATE SCHEMA IF NOT EXISTS report;

COMMENT ON SCHEMA control IS 'What the daemon and the dashboard know: commands, runs, events, dead letters, people.';
COMMENT ON SCHEMA report IS 'Stable views for ad-hoc SQL; see sql/README.md.';

-- A state column may only make the moves drawn in sql/README.md and common/states.py (a test compares the two).
-- Arguments: each legal move as 'from>to'. The trigger fires only when the state really changes, so it costs a page nothing.
CREATE FUNCTION control.only_legal_moves() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.state || '>' || NEW.state) = ANY (TG_ARGV) THEN
        RAISE EXCEPTION 'illegal move of %: % to %', TG_TABLE_NAME, OLD.state, NEW.state
            USING ERRCODE = 'check_violation', CONSTRAINT = TG_TABLE_NAME || '_legal_moves';
    END IF;
    RETURN NEW;
END
$$;

-- The audit log only grows: nobody, the tables' owner included, changes or removes a row by accident.
CREATE FUNCTION control.append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'insufficient_privilege';
END
$$;
