-- The smallest policy of each family with compute-optimal TTS at its largest budget against the CoT
-- of the task's largest policy. Parameters: tasks, scoring, voting, scale.
-- ASSUME: to be smaller is to have at most half the parameters. Two families' policies of one size
-- are not a small and a large one.
WITH
series AS (
    FROM tested_series($scale, $scoring, $voting)
    WHERE NOT is_beyond AND regexp_full_match(task_title, $tasks)
),
small AS (
    FROM series
    WHERE series = 'compute_optimal' AND budget > 1
    QUALIFY
        row_number() OVER (
            PARTITION BY task, family ORDER BY n_parameters, policy, budget DESC
        ) = 1
),
large AS (
    FROM series
    WHERE series = 'cot'
    QUALIFY row_number() OVER (PARTITION BY task ORDER BY n_parameters DESC, policy) = 1
)
SELECT
    format(
        '{}, N = {}, against {} on {}',
        small.policy_title, small.budget, large.policy_title, small.task_title
    ) AS case_name,
    small.task,
    small.policy,
    small.problem_ids,
    small.accuracies AS value,
    small.in_sample,
    small.widening,
    large.accuracies AS reference
FROM small
INNER JOIN large USING (task, problem_ids)
WHERE 2 * small.n_parameters <= large.n_parameters
ORDER BY small.task_rank, case_name;
