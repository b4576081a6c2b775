-- A column of Table 5 measured again, per policy: the largest budget against the printed number, which
-- has no interval. Parameters: series (cot, majority or compute_optimal), least_budget (smaller ones
-- are not what the paper ran), tasks, scoring, voting, scale.
SELECT
    concat_ws(', ', policy_title, task_title, 'N = ' || budget) AS case_name,
    task,
    problem_ids,
    accuracies AS value,
    in_sample,
    widening,
    list_transform(accuracies, lambda _ : printed[$series]::DOUBLE / 100) AS reference
FROM tested_series($scale, $scoring, $voting)
WHERE
    series = $series
    AND NOT is_beyond
    AND budget >= $least_budget
    AND regexp_full_match(task_title, $tasks)
    AND printed[$series] IS NOT NULL
QUALIFY budget = max(budget) OVER (PARTITION BY task, policy)
ORDER BY task_rank, family, n_parameters, case_name;
