-- Strategies chosen by predicted difficulty against other ways to choose, of one task at every budget: one
-- row per policy, PRM, budget and against (predicted_comparisons in macros.sql). right_bucket: how often
-- the predicted bucket is the true one, with the PRM's scores; right_without: from answers alone.
-- figure_budget: the largest at which the most PRMs of the policy have the same methods to choose from.
-- A pool with which it cannot be tried has one row with its reason and no prm.
-- Parameters: task, scoring, voting.
WITH
quality AS (
    SELECT task, policy, prm, avg(right_bucket) AS right_bucket, count(*) AS n_predicted
    FROM predictions
    GROUP BY ALL
),
compared AS (FROM predicted_comparisons($scoring, $voting) WHERE task = $task),
methods AS (
    SELECT policy, prm, budget, list_sort(list(DISTINCT method)) AS methods
    FROM curves
    WHERE task = $task AND prm IS NOT NULL AND bucket = 'all' AND method <> 'majority'
    GROUP BY ALL
),
alike AS (
    SELECT policy, budget, count(DISTINCT prm) AS n_prms
    FROM compared
    INNER JOIN methods USING (policy, prm, budget)
    GROUP BY policy, budget, methods
),
of_figures AS (
    SELECT policy, first(budget ORDER BY n_prms DESC, budget DESC) AS figure_budget
    FROM alike
    GROUP BY policy
)
SELECT
    compared.* EXCLUDE (task_title, model),
    of_tasks.problems_of_task,
    of_figures.figure_budget,
    abilities.ability AS prm_ability,
    quality.right_bucket,
    without.right_bucket AS right_without,
    NULL AS reason,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM compared
INNER JOIN quality USING (task, policy, prm)
LEFT JOIN problems_of_tasks() AS of_tasks USING (task)
LEFT JOIN of_figures USING (policy)
LEFT JOIN abilities() AS abilities USING (task, prm)
LEFT JOIN quality AS without
    ON without.task = compared.task AND without.policy = compared.policy AND without.prm IS NULL
CROSS JOIN settings
UNION ALL BY NAME
SELECT
    unpredicted.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    policies.origin,
    without.right_bucket AS right_without,
    unpredicted.reason
FROM unpredicted
INNER JOIN policies USING (policy)
LEFT JOIN quality AS without
    ON without.task = unpredicted.task AND without.policy = unpredicted.policy AND without.prm IS NULL
WHERE
    unpredicted.task = $task
    AND unpredicted.policy IN (SELECT policy FROM curves WHERE method = 'best_of_n')
ORDER BY
    family, n_parameters, policy, prm_ability NULLS LAST, prm_n_parameters, prm, budget,
    list_position(['true_difficulty', 'one_strategy', 'majority'], against);
