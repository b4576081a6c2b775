-- PRM-Vote against PRM-Max, mean over the ways to score a trajectory, for best-of-N at the largest N of
-- a pool that others published. Parameters: models (pattern of names), tasks.
WITH
pairs AS (
    SELECT
        task,
        task_title,
        policy_title,
        prm_title,
        budget,
        problem_id,
        avg(accuracy) FILTER (voting = 'prm_vote') AS value,
        avg(accuracy) FILTER (voting = 'prm_max') AS reference
    FROM public_outcomes()
    WHERE
        method = 'best_of_n'
        AND part = 'whole'
        AND regexp_full_match(model, $models)
        AND regexp_full_match(task_title, $tasks)
    GROUP BY ALL
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
