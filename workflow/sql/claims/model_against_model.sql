-- A policy with test-time scaling at its largest budget against the CoT of another model: the study's
-- own where it holds it, else the number that a table prints, which has no interval and is of all problems
-- of the task (stands_for_task).
-- Parameters: item (Table 3 or 6), model (its title), against (a pattern of titles as printed), series (compute_optimal or
-- majority), least_budget (smaller ones are not what the paper ran), tasks, scoring, voting, scale.
WITH
series AS (
    FROM tested_series($scale, $scoring, $voting) WHERE regexp_full_match(task_title, $tasks)
),
small AS (
    FROM series
    WHERE series = $series AND policy_title = $model AND budget >= $least_budget
    QUALIFY budget = max(budget) OVER (PARTITION BY task)
),
printed AS (
    SELECT model, model_key, task AS printed_task, number
    FROM printed_numbers()
    WHERE
        item = $item
        AND metric = 'accuracy'
        AND method = 'CoT'
        AND regexp_full_match(model, $against)
)
SELECT
    format('{} against {} on {}', small.policy_title, printed.model, small.task_title)
    || if(large.task IS NULL, ' (as printed)', '') AS case_name,
    small.task,
    small.problem_ids,
    small.accuracies AS value,
    small.in_sample,
    small.widening,
    coalesce(
        large.accuracies, list_transform(small.accuracies, lambda _ : printed.number / 100)
    ) AS reference
FROM small
INNER JOIN printed ON name_key(printed_task) = name_key(small.task_title)
LEFT JOIN series AS large
    ON
        large.task = small.task
        AND large.series = 'cot'
        AND name_key(large.policy_title) = printed.model_key
        AND large.problem_ids = small.problem_ids
WHERE
    large.task IS NOT NULL
    OR stands_for_task(small.policy, small.problem_ids, small.n_problems_of_task)
ORDER BY small.task_rank, case_name;
