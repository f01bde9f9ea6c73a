-- A second look at a list counts only when one run takes the whole of it: what was the same hours ago may not be now.
-- depends: 0017.second-looks

ALTER TABLE control.passes ADD COLUMN has_all boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN control.passes.has_all IS
    'Every page has come, and the list is being read once more, for its ids. A continuation of the run begins with that; any '
    'other run reads the list anew.';
UPDATE control.passes SET has_all = looked_again_to IS NOT NULL WHERE state = 'open';
ALTER TABLE control.passes DROP COLUMN looked_again_to;
