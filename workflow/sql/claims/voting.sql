-- PRM-Vote against PRM-Max, mean over the ways to score a trajectory, for best-of-N at the largest
-- budget, per task, policy and PRM. Parameters: prms (pattern of titles or formats), policies, tasks,
-- scale.
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
    FROM tested_outcomes($scale)
    WHERE
        method = 'best_of_n'
        AND (regexp_full_match(prm_title, $prms) OR regexp_full_match(prm_format, $prms))
        AND regexp_full_match(policy_title, $policies)
        AND regexp_full_match(task_title, $tasks)
    GROUP BY ALL
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
