-- A list is read twice before its missing rows are marked removed, and a delta of many pages is read twice, too.
-- depends: 0016.requeue-witnesses

ALTER TABLE control.passes ADD COLUMN looked_again_to integer;
COMMENT ON COLUMN control.passes.looked_again_to IS
    'Every page has come, and the list is being read once more, for its ids: up to this page it showed the same. Null: no '
    'second look has begun.';

ALTER TABLE control.passes ADD COLUMN deep boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN control.passes.deep IS
    'Newest first, changes went beyond a page: a list that lost a record and gained one meanwhile may have hidden a change. '
    'The next delta reads from the watermark before this one''s.';
