-- What a budget carries, on average: one row per task and method at the study's largest N, with the PRM
-- that does best for the policy where the method has one. Means over policies of accuracies, fractions.
WITH
best AS (
    SELECT task, policy, method, budget, max(accuracy) AS accuracy
    FROM main_curves
    WHERE origin = 'run' AND method IN ('cot', 'majority', 'best_of_n', 'pass_at_k')
    GROUP BY ALL
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    best.method,
    max(best.budget) AS budget,
    count(*) AS n_policies,
    avg(best.accuracy) AS accuracy
FROM best
INNER JOIN ranked_tasks() AS tasks USING (task)
WHERE best.method = 'cot' OR best.budget = (SELECT max(budget) FROM study_budgets)
GROUP BY tasks.task_rank, tasks.task, tasks.title, best.method
ORDER BY tasks.task_rank, list_position(['cot', 'majority', 'best_of_n', 'pass_at_k'], best.method);
