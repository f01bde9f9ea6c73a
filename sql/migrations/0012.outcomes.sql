-- A command is done once: one whose outcome is in the audit log is not taken again, and each claim looks there.
-- depends: 0011.sign-in

-- Not unique: a requeue or discard has two outcomes, that its letters were taken and then its verdict.
CREATE INDEX admin_logs_outcomes ON control.admin_logs (command_id) WHERE outcome_of IS NOT NULL;
