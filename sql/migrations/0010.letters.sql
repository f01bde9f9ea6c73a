-- Requeues and discards of dead letters: which letters each one takes, what became of each, and when it goes on.
-- depends: 0009.payload-hash

ALTER TABLE control.bulk_actions
    ADD COLUMN source text NOT NULL DEFAULT 'page' CHECK (source IN ('page', 'api', 'cli')),
    ADD COLUMN run_id uuid,
    ADD COLUMN not_before timestamptz,
    ADD COLUMN places jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN cancel_asked_by text,
    ADD COLUMN started_at timestamptz;
COMMENT ON TABLE control.bulk_actions IS 'A requeue or discard of one or many dead letters; its id is that of its command.';
COMMENT ON COLUMN control.bulk_actions.run_id IS 'The latest run of a requeue; one that was cut short is continued by a next run.';
COMMENT ON COLUMN control.bulk_actions.not_before IS 'When a requeue that has used its share of the hour''s requests goes on by itself.';
COMMENT ON COLUMN control.bulk_actions.places IS 'Entity → the next page of a list pass that was cut short.';
CREATE INDEX bulk_actions_unfinished ON control.bulk_actions (created_at) WHERE state IN ('queued', 'running');
CREATE INDEX bulk_actions_recent ON control.bulk_actions (integration, account_key, created_at DESC);

CREATE TABLE control.bulk_letters (
    bulk_id uuid NOT NULL REFERENCES control.bulk_actions (id) ON DELETE CASCADE,
    letter_id bigint NOT NULL REFERENCES control.dead_letters (id) ON DELETE CASCADE,
    outcome text CHECK (outcome IN ('recovered', 'same', 'other', 'gone', 'missed', 'discarded', 'left')),
    PRIMARY KEY (bulk_id, letter_id)
);
COMMENT ON TABLE control.bulk_letters IS 'The letters that a bulk action counted when it was accepted, and what became of each.';
COMMENT ON COLUMN control.bulk_letters.outcome IS
    'Null: not come to yet. same, other: read, and still bad for the same or another reason; gone: the vendor has no such '
    'record any more; missed: not met in a list that proves no absence; left: not read, open as before.';
CREATE INDEX bulk_letters_waiting ON control.bulk_letters (bulk_id, letter_id) WHERE outcome IS NULL;

CREATE INDEX dead_letters_recent ON control.dead_letters (integration, account_key, state, id DESC);
CREATE INDEX runs_requeues ON control.runs (integration, account_key, queued_at DESC) WHERE mode = 'requeue';
