-- Problems of every task and policy in the order in which the rollout browser takes them: per
-- difficulty bucket, those first on which the strategies disagree the most (spread of expected
-- accuracy over all strategies and budgets above 1).
WITH spreads AS (
    SELECT
        task, policy, problem_id,
        -- Rounded, so that the order of summation cannot decide a tie.
        round(max(accuracy) - min(accuracy), 9) AS spread
    FROM outcomes
    WHERE budget > 1
    GROUP BY ALL
),
shown AS (SELECT DISTINCT task, policy, problem_id FROM answers)
SELECT
    shown.task,
    tasks.title AS task_title,
    shown.policy,
    policies.title AS policy_title,
    policies.origin,
    coalesce(difficulty.bucket, 'unknown') AS bucket,
    shown.problem_id,
    problems.problem_hash,
    problems.answer AS gold,
    difficulty.pass_at_1,
    difficulty.n_samples,
    coalesce(spreads.spread, 0) AS spread,
    row_number() OVER (
        PARTITION BY shown.task, shown.policy, coalesce(difficulty.bucket, 'unknown')
        ORDER BY coalesce(spreads.spread, 0) DESC, shown.problem_id
    ) AS place
FROM shown
INNER JOIN problems USING (task, problem_id)
INNER JOIN tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN difficulty USING (task, policy, problem_id)
LEFT JOIN spreads USING (task, policy, problem_id)
ORDER BY
    -- What the study ran first: adopted rollouts have no texts to show.
    policies.origin = 'adopted', shown.task, policies.family, policies.n_parameters, shown.policy,
    list_position(['easy', 'medium', 'hard', 'unknown'], bucket), place;
