-- A vendor's "unlimited" may be 4294967295 or longer; one such header must not cost a flush of telemetry.
-- depends: 0018.look-anew

ALTER TABLE control.rate_limit_samples
    ALTER COLUMN request_limit TYPE bigint,
    ALTER COLUMN remaining TYPE bigint;
