-- Share of the problems whose Pass@1 by the policy is above a threshold against the share that Figure 3
-- prints. As in table_5_values, the task's own problems are no sample of others: on all of them nothing is
-- resampled, and the margin is what runs may differ by. A part that others chose is no
-- case (stands_for_task).
-- Parameters: threshold (0 to 1), policies, tasks, scale.
WITH
printed AS (
    SELECT model_key, name_key(task) AS task_key, number / 100 AS share
    FROM printed_numbers()
    WHERE item = 'Figure 3'
),
rated AS (
    SELECT
        pairs.task,
        pairs.policy,
        pairs.policy_title,
        pairs.task_title,
        pairs.task_rank,
        pairs.n_problems_of_task,
        any_value(printed.share) AS share,
        any_value(difficulty.n_samples) AS n_samples,
        list(difficulty.problem_id ORDER BY difficulty.problem_id) AS problem_ids,
        -- In whole numbers: shares such as 0.8 have no exact binary form.
        list(
            (
                round(difficulty.pass_at_1 * difficulty.n_samples)
                > $threshold * difficulty.n_samples + 1e-9
            )::INTEGER::DOUBLE
            ORDER BY difficulty.problem_id
        ) AS is_above
    FROM difficulty
    SEMI JOIN tested_pairs($scale) AS tested
        ON tested.task = difficulty.task AND tested.policy = difficulty.policy
    INNER JOIN ranked_pairs() AS pairs
        ON pairs.task = difficulty.task AND pairs.policy = difficulty.policy
    INNER JOIN printed
        ON
            printed.model_key = name_key(pairs.policy_title)
            AND printed.task_key = name_key(pairs.task_title)
    WHERE
        regexp_full_match(pairs.policy_title, $policies)
        AND regexp_full_match(pairs.task_title, $tasks)
    GROUP BY ALL
)
SELECT
    format('{} on {}, Pass@1 of {} samples above {}', policy_title, task_title, n_samples, $threshold)
        AS case_name,
    task,
    problem_ids,
    is_above AS value,
    list_transform(
        is_above,
        lambda one : share + if(len(problem_ids) = n_problems_of_task, one - list_avg(is_above), 0)
    ) AS reference
FROM rated
WHERE stands_for_task(policy, problem_ids, n_problems_of_task)
ORDER BY task_rank, case_name;
