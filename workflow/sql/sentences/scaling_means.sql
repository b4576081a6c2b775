-- What a budget carries, on average: one row per task and method at the study's largest N, with the PRM
-- that does best for the policy where the method has one. Means of accuracies, fractions, over those of
-- the task's policies that have each of its methods: of others, methods would differ by who has them.
WITH
reached AS (
    SELECT task, policy, method, max(budget) AS budget, max(accuracy) AS accuracy
    FROM main_curves
    WHERE
        origin = 'run' AND method IN ('cot', 'majority', 'best_of_n', 'pass_at_k')
        AND (method = 'cot' OR budget = (SELECT max(budget) FROM study_budgets))
    GROUP BY ALL
),
of_task AS (
    SELECT task, count(DISTINCT method) AS n_methods, count(DISTINCT policy) AS n_policies_of_task
    FROM reached
    GROUP BY ALL
),
compared AS (
    SELECT reached.*
    FROM reached
    INNER JOIN of_task USING (task)
    QUALIFY count(*) OVER (PARTITION BY task, policy) = of_task.n_methods
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    of_task.n_policies_of_task,
    compared.method,
    max(compared.budget) AS budget,
    count(compared.policy) AS n_policies,
    avg(compared.accuracy) AS accuracy
FROM of_task
INNER JOIN ranked_tasks() AS tasks USING (task)
LEFT JOIN compared USING (task)
GROUP BY tasks.task_rank, tasks.task, tasks.title, of_task.n_policies_of_task, compared.method
ORDER BY
    tasks.task_rank,
    list_position(['cot', 'majority', 'best_of_n', 'pass_at_k'], compared.method);
