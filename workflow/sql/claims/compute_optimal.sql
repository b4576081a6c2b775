-- Compute-optimal TTS against another way to use the same policy, per task and policy, at the largest
-- budget. x: size of the policy, for trends within a family.
-- Parameters: against (cot or majority), tasks, scoring, voting, scale.
WITH
series AS (
    FROM tested_series($scale, $scoring, $voting)
    WHERE NOT is_beyond AND regexp_full_match(task_title, $tasks)
),
top AS (
    FROM series
    WHERE series = 'compute_optimal' AND budget > 1
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy)
)
SELECT
    concat_ws(', ', top.policy_title, top.task_title, 'N = ' || top.budget) AS case_name,
    top.task,
    top.policy,
    top.problem_ids,
    top.accuracies AS value,
    top.in_sample,
    top.widening,
    other.accuracies AS reference,
    log10(top.n_parameters) AS x,
    'tenfold parameters' AS x_unit,
    top.task || ' ' || top.family AS trend
FROM top
INNER JOIN series AS other
    ON
        other.task = top.task
        AND other.policy = top.policy
        AND other.series = $against
        AND other.budget = if($against = 'cot', 1, top.budget)
        AND other.problem_ids = top.problem_ids
ORDER BY top.task_rank, top.family, top.n_parameters, case_name;
