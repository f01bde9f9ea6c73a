-- Two daemons that make a day's partition at the same moment: the second waits, and finds it made.
-- depends: 0019.large-quotas

CREATE OR REPLACE FUNCTION control.make_event_partitions(days_ahead integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    first_day date := (now() AT TIME ZONE 'UTC')::date - 1;
    day date;
    name text;
    made integer := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('control.make_event_partitions', 0));
    FOR day IN SELECT first_day + n FROM generate_series(0, days_ahead + 1) AS n LOOP
        name := 'events_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('control.' || name) IS NULL THEN
            EXECUTE format('CREATE TABLE control.%I (LIKE control.events INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', name);
            EXECUTE format('ALTER TABLE control.%I ADD CONSTRAINT %I CHECK (ts >= %L AND ts < %L)',
                name, name || '_day', day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
            EXECUTE format('ALTER TABLE control.events ATTACH PARTITION control.%I FOR VALUES FROM (%L) TO (%L)',
                name, day::text || ' 00:00+00', (day + 1)::text || ' 00:00+00');
            EXECUTE format('ALTER TABLE control.%I DROP CONSTRAINT %I', name, name || '_day');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END
$$;
