-- Table 6: compute-optimal TTS with each PRM beside CoT, on every task, for the two policies that
-- stand for their families and for policies that reason at length (DeepSeek-R1-Distill).
-- One row per task, policy, series (cot, in_sample, cross_fitted) and PRM; a policy without results
-- has one row whose series is NULL. Rows whose series is 'printed' hold what the paper's Table 6
-- prints. Parameters: scoring, voting.
WITH
shown AS (
    SELECT tasks.task, policies.policy
    FROM ranked_tasks() AS tasks
    CROSS JOIN policies
    WHERE
        (tasks.task, policies.policy) IN (SELECT (task, policy) FROM planned())
        AND (
            policies.policy IN (FROM main_policies(first_task()))
            OR policies.family ILIKE '%r1-distill%'
        )
),
found AS (
    SELECT task, policy, 'cot' AS series, NULL AS prm, budget, accuracy, ci_low, ci_high
    FROM curves
    WHERE method = 'cot' AND bucket = 'all'
    UNION ALL
    SELECT task, policy, rule, prm, budget, accuracy, ci_low, ci_high
    FROM selection
    WHERE
        scoring = $scoring
        AND voting = $voting
        AND prm IS NOT NULL
        AND rule IN ('in_sample', 'cross_fitted')
    QUALIFY budget = first_value(budget) OVER (PARTITION BY task, policy, prm ORDER BY budget DESC)
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    tasks.task_rank,
    policies.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    found.series,
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    found.budget,
    found.accuracy,
    found.ci_low,
    found.ci_high,
    NULL::VARCHAR AS model,
    NULL::VARCHAR AS section,
    NULL::VARCHAR AS printed
FROM shown
INNER JOIN ranked_tasks() AS tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN found USING (task, policy)
LEFT JOIN prms USING (prm)
UNION ALL BY NAME
FROM printed_accuracies('Table 6')
ORDER BY
    series = 'printed' NULLS FIRST, family, n_parameters, policy, prm_n_parameters NULLS FIRST, prm,
    list_position(['cot', 'in_sample', 'cross_fitted'], series), task_rank, printed_rank;
