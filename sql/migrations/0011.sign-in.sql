-- People whose role a provider says, one name for each person, and the minute's tally of what nobody in particular asked.
-- depends: 0010.letters

ALTER TABLE control.people ADD COLUMN role_from text NOT NULL DEFAULT 'hand' CHECK (role_from IN ('hand', 'provider'));
COMMENT ON COLUMN control.people.role_from IS
    'hand: set by `python -m common.accounts role` and kept; provider: read anew from the provider at each sign-in.';
-- The audit log and the command line speak of people by name, so a name is one person's.
CREATE UNIQUE INDEX people_name ON control.people (lower(name));
ALTER TABLE control.people ADD CONSTRAINT people_local_role_by_hand CHECK (issuer <> 'local' OR role_from = 'hand');

-- Requests without a session, forged ones, failed sign-ins: counted here for a minute, then one row in admin_logs.
CREATE TABLE control.anonymous_tally (
    minute timestamptz NOT NULL,
    kind text NOT NULL,
    requests bigint NOT NULL CHECK (requests > 0),
    address text NOT NULL,
    PRIMARY KEY (minute, kind)
);
COMMENT ON TABLE control.anonymous_tally IS 'What came without a session, per minute and kind; a minute that is over moves to admin_logs.';
COMMENT ON COLUMN control.anonymous_tally.address IS 'Where the latest of them came from.';
