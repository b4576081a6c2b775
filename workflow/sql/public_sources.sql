-- The files behind every number on adopted rollouts: one row per file of a collection, with its repository
-- and commit, and what of it was used. A collection that is one archive has one row without counts.
SELECT
    collections.collection,
    collections.source,
    collections."commit",
    collections.licence,
    adopted_files.path,
    adopted_files.sha256,
    adopted_files.n_records,
    adopted_files.n_used,
    adopted_files.n_answers,
    adopted_files.n_answers_used
FROM collections
LEFT JOIN adopted_files USING (collection)
ORDER BY collections.collection, adopted_files.path;
