-- When searches lost the right path: problems whose right path had been pruned by each depth (steps),
-- at the smallest and the largest N of each search. One row per policy, PRM, method, N and depth; a
-- pair of policy and PRM without searches has one row whose method is NULL. n_not_written: problems of which the policy
-- wrote no right path to its end. Parameters: task.
WITH
searched AS (
    SELECT policy, prm, method, budget, outcome, depth
    FROM pruning
    WHERE task = $task
    QUALIFY
        budget = max(budget) OVER (PARTITION BY policy, prm, method)
        OR budget = min(budget) OVER (PARTITION BY policy, prm, method)
),
depths AS (
    SELECT unnest(range(1, 1 + max(depth))) AS depth FROM searched
),
counted AS (
    SELECT
        searched.policy,
        searched.prm,
        searched.method,
        searched.budget,
        depths.depth,
        count(*) AS n_problems,
        count(*) FILTER (outcome = 'pruned' AND searched.depth <= depths.depth) AS n_pruned,
        count(*) FILTER (outcome = 'not_written') AS n_not_written
    FROM searched
    CROSS JOIN depths
    GROUP BY ALL
)
SELECT
    pairs.*,
    counted.method,
    counted.budget,
    counted.depth,
    counted.n_problems,
    counted.n_pruned,
    counted.n_not_written,
    settings.confidence
FROM pairs($task) AS pairs
CROSS JOIN settings
LEFT JOIN counted USING (policy, prm)
ORDER BY family, n_parameters, policy, prm_ability NULLS LAST, prm_n_parameters, prm, method, budget, depth;
