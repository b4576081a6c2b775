-- What others drew, whole: accuracy of every strategy at every N that a pool carries, all problems and
-- by difficulty, with intervals; one row each. Tokens are a problem's mean; NULL where unknown.
SELECT
    curves.task,
    tasks.title AS task_title,
    curves.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    prms.title AS prm_title,
    curves.method,
    curves.scoring,
    curves.voting,
    curves.bucket,
    curves.budget,
    curves.accuracy,
    curves.ci_low,
    curves.ci_high,
    curves.n_problems,
    curves.tokens
FROM curves
INNER JOIN policies USING (policy)
INNER JOIN tasks USING (task)
LEFT JOIN prms USING (prm)
INNER JOIN (
    SELECT DISTINCT task, policy, method, budget
    FROM pool_outcomes
    WHERE part = 'whole' AND method IN ('pass_at_k', 'majority', 'best_of_n')
) AS carried USING (task, policy, method, budget)
WHERE
    policies.policy IN (SELECT policy FROM pool_outcomes WHERE method = 'best_of_n')
    -- Of a pool that is not split, the samples that say how hard a problem is are those that solve it.
    AND (
        curves.bucket = 'all'
        OR (curves.task, curves.policy) IN (
            SELECT (task, policy) FROM pool_outcomes WHERE part = 'first half'
        )
    )
ORDER BY
    curves.task, policies.n_parameters, curves.policy, curves.bucket = 'all' DESC, curves.bucket,
    list_position(['pass_at_k', 'majority', 'best_of_n'], curves.method), curves.scoring,
    curves.voting, curves.budget;
