-- A requeue calls a record gone only by two witnesses, and one record that the vendor refuses does not hold up the others.
-- depends: 0015.proof

ALTER TABLE control.bulk_letters ADD COLUMN not_found boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN control.bulk_letters.not_found IS
    'Asked for by its id, the vendor knew no such record: one witness that it is gone, the list is the other.';
ALTER TABLE control.bulk_letters DROP CONSTRAINT bulk_letters_outcome_check;
ALTER TABLE control.bulk_letters ADD CONSTRAINT bulk_letters_outcome_check
    CHECK (outcome IN ('recovered', 'same', 'other', 'gone', 'missed', 'refused', 'discarded', 'left'));
COMMENT ON COLUMN control.bulk_letters.outcome IS
    'Null: not come to yet. same, other: read, and still bad for the same or another reason; gone: the vendor has no such '
    'record any more; missed: not met in a list that proves no absence; refused: asked for by id and not given; left: not '
    'read, open as before.';
COMMENT ON COLUMN control.bulk_actions.places IS
    'Entity → the next page of a list pass that was cut short, with what it was asked for and the list''s total.';
