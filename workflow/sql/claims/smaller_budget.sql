-- Compute-optimal TTS at the study's smallest budget above 1 against majority voting at its largest,
-- per task and policy. Parameters: tasks, scoring, voting, scale.
WITH
series AS (
    FROM tested_series($scale, $scoring, $voting)
    WHERE NOT is_beyond AND regexp_full_match(task_title, $tasks) AND budget > 1
),
small AS (
    FROM series
    WHERE series = 'compute_optimal'
    QUALIFY budget = min(budget) OVER (PARTITION BY task, policy)
),
large AS (
    FROM series
    WHERE series = 'majority'
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy)
)
SELECT
    format(
        '{}, {}, N = {} against {}',
        small.policy_title, small.task_title, small.budget, large.budget
    ) AS case_name,
    small.task,
    small.policy,
    small.problem_ids,
    small.accuracies AS value,
    small.in_sample,
    small.widening,
    large.accuracies AS reference
FROM small
INNER JOIN large USING (task, policy, problem_ids)
WHERE small.budget < large.budget
ORDER BY small.task_rank, small.family, small.n_parameters, case_name;
