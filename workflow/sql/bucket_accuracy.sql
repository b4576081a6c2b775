-- Accuracy by difficulty, of problems that a few samples sorted (accuracy, ci_low, ci_high) and with that
-- uncertain (table bucket_accuracy: expected_accuracy, expected_low, expected_high): one row per task, policy,
-- difficulty and method, at the largest budget, with the PRM of figures that show a single one.
-- Parameters: scoring, voting.
WITH
accuracies AS (
    SELECT *
    FROM bucket_accuracy
    WHERE
        method = 'cot'
        OR (
            budget > 1
            AND (method = 'majority' OR (scoring = $scoring AND voting = $voting))
            AND (prm IS NULL OR prm IN (SELECT main_prm(task) FROM ranked_tasks()))
        )
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, method)
)
SELECT
    tasks.title AS task_title,
    policies.title AS policy_title,
    accuracies.bucket,
    accuracies.method,
    prms.title AS prm_title,
    accuracies.budget,
    curves.accuracy,
    curves.ci_low,
    curves.ci_high,
    curves.n_problems,
    accuracies.accuracy AS expected_accuracy,
    accuracies.ci_low AS expected_low,
    accuracies.ci_high AS expected_high,
    accuracies.n_expected
FROM accuracies
INNER JOIN ranked_tasks() AS tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
LEFT JOIN curves
    ON
        curves.task = accuracies.task
        AND curves.policy = accuracies.policy
        AND curves.prm IS NOT DISTINCT FROM accuracies.prm
        AND curves.method = accuracies.method
        AND curves.scoring IS NOT DISTINCT FROM accuracies.scoring
        AND curves.voting IS NOT DISTINCT FROM accuracies.voting
        AND curves.budget = accuracies.budget
        AND curves.bucket = accuracies.bucket
ORDER BY
    tasks.task_rank, policies.family, policies.n_parameters, policies.title,
    list_position(['easy', 'medium', 'hard'], accuracies.bucket),
    list_position(['cot', 'majority', 'best_of_n', 'beam_search', 'dvts'], accuracies.method);
