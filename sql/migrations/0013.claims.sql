-- Who took which command: a row deleted and written again, or set back by hand, while its command is under way is known
-- by this log, and is not taken once more. One that a dead daemon had taken is.
-- depends: 0012.outcomes

CREATE TABLE control.claims (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    command_id uuid NOT NULL,
    daemon_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE control.claims IS 'Each time a daemon took a command. Append-only.';
CREATE INDEX claims_command ON control.claims (command_id);
CREATE TRIGGER claims_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON control.claims
    FOR EACH STATEMENT EXECUTE FUNCTION control.append_only();
