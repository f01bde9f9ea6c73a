-- What a reading knows of births outlives the run that read it: without it one that was stopped and gone on with took a list
-- that had gained one record and lost another for a list that had only lost one, and a living row was marked removed.
-- depends: 0014.command-guard

ALTER TABLE control.passes ADD COLUMN began_at timestamptz;
ALTER TABLE control.passes ADD COLUMN first_total bigint;
ALTER TABLE control.passes ADD COLUMN born bigint NOT NULL DEFAULT 0;
COMMENT ON COLUMN control.passes.began_at IS 'When its first page was answered, by the vendor''s clock if it told one.';
COMMENT ON COLUMN control.passes.first_total IS 'The total that its first page told; null: it proves no absence once it is gone on with.';
COMMENT ON COLUMN control.passes.born IS 'New records met that were created after it began.';
