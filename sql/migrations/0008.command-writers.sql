-- By which database user a command's row was written: a row that the gate did not write is refused, and the audit log says
-- whose it was. The trigger, not the writer, fills the column in.
-- depends: 0007.report

ALTER TABLE control.commands ADD COLUMN written_by text NOT NULL DEFAULT session_user;
COMMENT ON COLUMN control.commands.written_by IS
    'The database user who inserted the row or last changed what its seal covers; set by a trigger.';

CREATE FUNCTION control.note_command_writer() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.written_by := session_user;
    RETURN NEW;
END
$$;
-- Not on state and result, so the daemon's own work on a command leaves the name alone.
CREATE TRIGGER commands_writer BEFORE INSERT OR UPDATE OF id, integration, account_key, action, payload, actor, audit_id,
    expires_at, seal, addressed_to, written_by ON control.commands
    FOR EACH ROW EXECUTE FUNCTION control.note_command_writer();
