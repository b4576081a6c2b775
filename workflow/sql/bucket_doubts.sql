-- How often a problem is in the wrong bucket of difficulty: one row per policy of a task, with the mean chance
-- (wrong) by n_samples a problem. A pool that is split is judged by its halves, which decide its buckets.
SELECT
    rated.policy,
    replace(policies.title, concat(' (', collections.title, ')'), '') AS model_title,
    max(rated.n_samples) AS n_samples,
    avg(rated.wrong_bucket) AS wrong
FROM rated
INNER JOIN policies USING (policy)
LEFT JOIN collections ON collections.collection = policies.collection
WHERE
    if(
        (rated.task, rated.policy) IN (SELECT (task, policy) FROM rated WHERE pool = 'first half'),
        rated.pool IN ('first half', 'second half'),
        rated.pool = rated.bucket_pool
    )
GROUP BY rated.task, rated.policy, policies.title, collections.title
ORDER BY rated.task, policies.title;
