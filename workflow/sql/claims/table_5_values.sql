-- A column of Table 5 measured again, per policy: the largest budget against the printed number. On all of
-- the task's problems the two are about the same ones, which therefore are no sample here: they are not
-- resampled, and the margin is what runs may differ by. (Of 500 problems resampled no accuracy between 14
-- and 86% is known to 3 points, so that none could ever be found equal.) On fewer they are a sample, but for
-- those that others chose, which are no case (stands_for_task).
-- Parameters: series (cot, majority or compute_optimal), least_budget (smaller ones are not what the
-- paper ran), tasks, scoring, voting, scale.
WITH
measured AS (
    SELECT
        tested.*,
        len(problem_ids) = n_problems_of_task AS is_whole,
        table_5.printed::DOUBLE / 100 AS printed_accuracy
    FROM tested_series($scale, $scoring, $voting) AS tested
    -- Of Table 5 alone: other tables print other models and tasks, some run otherwise (R1-Distill by vote).
    INNER JOIN printed_for_policies(['Table 5']) AS table_5 USING (task, policy)
    WHERE
        series = $series
        AND measure = $series
        AND NOT is_beyond
        AND budget >= $least_budget
        AND regexp_full_match(task_title, $tasks)
        AND stands_for_task(policy, problem_ids, n_problems_of_task)
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy)
)
SELECT
    concat_ws(', ', policy_title, task_title, 'N = ' || budget) AS case_name,
    task,
    problem_ids,
    accuracies AS value,
    in_sample,
    if(is_whole, NULL, widening) AS widening,
    list_transform(
        accuracies,
        lambda accuracy :
            printed_accuracy + if(is_whole, accuracy - list_avg(accuracies), 0)
    ) AS reference
FROM measured
ORDER BY task_rank, family, n_parameters, case_name;
