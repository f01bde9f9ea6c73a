-- What a dry run found. common/store/dry_runs.py runs these; the caller commits.

-- name: store
-- The counters of an entity that has ended, with the sampled changes.
INSERT INTO control.dry_run_reports (run_id, entity, report)
SELECT run_id, entity, jsonb_build_object('insert', inserted, 'update', updated, 'unchanged', unchanged,
       'removed', removed, 'dead', dead, 'samples', %(samples)s::jsonb)
FROM control.run_entities
WHERE run_id = %(run_id)s AND entity = %(entity)s
ON CONFLICT (run_id, entity) DO UPDATE SET report = excluded.report

-- name: samples
-- The sampled changes of a run, per entity.
SELECT entity, report -> 'samples' AS samples FROM control.dry_run_reports WHERE run_id = %(run_id)s
