-- A second look at a list counts only when one run takes the whole of it: what was the same hours ago may not be now.
-- depends: 0017.second-looks

ALTER TABLE control.passes ADD COLUMN looks integer NOT NULL DEFAULT 0;
COMMENT ON COLUMN control.passes.looks IS
    'How often a second look at the list has begun, after every page had come. A continuation of the run begins with another; any '
    'other run reads the list anew.';
UPDATE control.passes SET looks = 1 WHERE state = 'open' AND looked_again_to IS NOT NULL;
ALTER TABLE control.passes DROP COLUMN looked_again_to;
