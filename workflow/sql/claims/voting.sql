-- PRM-Vote against PRM-Max, mean over the ways to score a trajectory, for best-of-N at the largest
-- budget, per task, policy and PRM; on scale 'public' at the largest N of a pool that others published.
-- Parameters: prms (pattern of titles or formats), policies, tasks, scale.
WITH
best AS (
    SELECT
        task, task_title, policy_title, prm, prm_title, prm_format, budget, problem_id, voting, accuracy
    FROM tested_outcomes($scale)
    WHERE method = 'best_of_n' AND $scale <> 'public'
    UNION ALL
    SELECT
        task, task_title, policy_title, prm, prm_title, prm_format, budget, problem_id, voting, accuracy
    FROM public_outcomes()
    WHERE method = 'best_of_n' AND $scale = 'public' AND part = 'whole'
),
pairs AS (
    SELECT
        task,
        task_title,
        policy_title,
        prm,
        prm_title,
        budget,
        problem_id,
        avg(accuracy) FILTER (voting = 'prm_vote') AS value,
        avg(accuracy) FILTER (voting = 'prm_max') AS reference
    FROM best
    WHERE
        (regexp_full_match(prm_title, $prms) OR regexp_full_match(prm_format, $prms))
        AND regexp_full_match(policy_title, $policies)
        AND regexp_full_match(task_title, $tasks)
    GROUP BY ALL
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
