-- What becomes of a command is written by the daemon that did it, with its line in the audit log. Whoever else writes a
-- claim, an end or a removal into the table is told so and changes nothing; the try is a line in the audit log.
-- depends: 0013.claims

-- Each claim and each end looks here by the command; the partial index on outcomes knew only some of its rows.
CREATE INDEX admin_logs_command ON control.admin_logs (command_id) WHERE command_id IS NOT NULL;
DROP INDEX control.admin_logs_outcomes;

-- A claim has its line in control.claims before it, an end has its outcome in the audit log before it, and what a seal
-- covers changes only while the command waits (its seal then fails). What has ended stays as it ended.
CREATE FUNCTION control.is_right_change(old control.commands, new control.commands) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE
        WHEN old IS NOT DISTINCT FROM new THEN true
        WHEN old.state NOT IN ('pending', 'claimed') THEN false
        -- No seal covers these: addressed to nobody, a command would run out as if the daemon were down.
        WHEN (old.addressed_to, old.created_at) IS DISTINCT FROM (new.addressed_to, new.created_at) THEN false
        WHEN (old.state, new.state) <> ('pending', 'pending') AND (
                old.id, old.integration, old.account_key, old.action, old.payload, old.actor, old.audit_id, old.expires_at,
                old.seal, old.written_by)
            IS DISTINCT FROM (
                new.id, new.integration, new.account_key, new.action, new.payload, new.actor, new.audit_id, new.expires_at,
                new.seal, new.written_by) THEN false
        WHEN new.state IN ('pending', 'claimed') AND (new.result, new.run_id, new.finished_at) IS DISTINCT FROM (
                NULL::jsonb, NULL::uuid, NULL::timestamptz) THEN false
        WHEN new.state = 'pending' THEN true
        WHEN new.state = 'claimed' THEN EXISTS (
            SELECT FROM control.claims AS k WHERE k.command_id = new.id AND k.daemon_id = new.claimed_by)
        ELSE EXISTS (
            SELECT FROM control.admin_logs AS l
            WHERE l.command_id = new.id AND l.result = new.state AND l.action <> 'alter_command')
    END
$$;

CREATE FUNCTION control.note_alteration(altered control.commands, how text) RETURNS void LANGUAGE sql AS $$
    INSERT INTO control.admin_logs (actor, source, action, integration, account_key, summary, result, reason, command_id)
    SELECT 'database:' || session_user, 'database', 'alter_command', altered.integration, altered.account_key,
           jsonb_build_object('statement', how, 'action', altered.action, 'state', altered.state,
                              'session_user', session_user),
           'refused', 'what becomes of a command is written by the daemon that did it: this ' || how || ' changed nothing',
           altered.id
$$;

CREATE FUNCTION control.guard_command() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- Born waiting, whatever was written: the daemon then looks at its seal.
        NEW.state := 'pending';
        NEW.claimed_by := NULL;
        NEW.claimed_at := NULL;
        NEW.finished_at := NULL;
        NEW.result := NULL;
        NEW.run_id := NULL;
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' AND OLD.state NOT IN ('pending', 'claimed') THEN
        RETURN OLD;
    ELSIF TG_OP = 'UPDATE' AND control.is_right_change(OLD, NEW) THEN
        RETURN NEW;
    END IF;
    PERFORM control.note_alteration(OLD, TG_OP);
    RAISE WARNING '% of command % refused: its daemon writes what becomes of it; see control.admin_logs', TG_OP, OLD.id;
    RETURN NULL;
END
$$;
-- Its name sorts before those of the other triggers: what it refuses is not looked at by them.
CREATE TRIGGER commands_guard BEFORE INSERT OR UPDATE OR DELETE ON control.commands
    FOR EACH ROW EXECUTE FUNCTION control.guard_command();

-- A TRUNCATE cannot leave rows out, so it is let through; who made it, and what was under way, is written down.
CREATE FUNCTION control.note_truncation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO control.admin_logs (actor, source, action, integration, account_key, summary, result, reason, command_id)
    SELECT 'database:' || session_user, 'database', 'alter_command', c.integration, c.account_key,
           jsonb_build_object('statement', TG_OP, 'action', c.action, 'state', c.state, 'session_user', session_user),
           'removed', 'the table was emptied while this command was under way', c.id
    FROM control.commands AS c
    WHERE c.state IN ('pending', 'claimed');
    RETURN NULL;
END
$$;
CREATE TRIGGER commands_truncation BEFORE TRUNCATE ON control.commands
    FOR EACH STATEMENT EXECUTE FUNCTION control.note_truncation();
