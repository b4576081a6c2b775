-- How often a problem is in the wrong bucket of difficulty: one row per policy of a task, with the mean chance
-- (wrong) by n_samples a problem. of_halves: of a pool that is split one row more, of its halves, whose buckets are
-- those of accuracies by difficulty; all samples decide the buckets that problems are counted in.
SELECT
    rated.policy,
    replace(policies.title, concat(' (', collections.title, ')'), '') AS model_title,
    rated.pool IN ('first half', 'second half') AS of_halves,
    max(rated.n_samples) AS n_samples,
    avg(rated.wrong_bucket) AS wrong
FROM rated
INNER JOIN policies USING (policy)
LEFT JOIN collections ON collections.collection = policies.collection
WHERE rated.pool IN ('first half', 'second half') OR rated.pool = rated.bucket_pool
GROUP BY rated.task, rated.policy, policies.title, collections.title, of_halves
ORDER BY rated.task, policies.title, of_halves;
