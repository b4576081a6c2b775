-- The files behind every number on adopted rollouts: one row per file of a collection, with its repository
-- and commit, and what of it was used. A collection whose files are listed in a file of their own, or a
-- folder of the hub, has one row without counts.
SELECT
    collections.collection,
    collections.source,
    collections."commit",
    collections.licence,
    coalesce(
        adopted_files.path,
        concat_ws(', ', collections.folder, 'the files of ' || collections.listing)
    ) AS path,
    adopted_files.sha256,
    adopted_files.n_records,
    adopted_files.n_used,
    adopted_files.n_answers,
    adopted_files.n_answers_used
FROM collections
LEFT JOIN adopted_files ON adopted_files.collection = collections.collection
ORDER BY collections.collection, adopted_files.path;
