-- Every point of every curve that the explorer draws: accuracy with its interval, and what it cost.
-- Budgets are powers of two and those that searches were run at. FLOPs are 2 N D, as in
-- accuracy_against_flops; NULL where tokens or a number of parameters are not known.
SELECT
    if(policies.origin = 'adopted', 'public', 'study') AS scale,
    tasks.title AS task,
    policies.title AS policy,
    coalesce(prms.title, '') AS prm,
    curves.method,
    coalesce(curves.scoring, '') AS scoring,
    coalesce(curves.voting, '') AS voting,
    curves.bucket,
    curves.budget,
    100 * curves.accuracy AS accuracy,
    100 * curves.ci_low AS low,
    100 * curves.ci_high AS high,
    curves.n_problems AS n,
    curves.tokens,
    2 * policies.n_parameters * curves.tokens
    + CASE
        WHEN curves.prm IS NULL THEN 0
        ELSE 2 * prms.n_parameters * curves.prm_tokens
    END AS flops,
    curves.seconds
FROM curves
INNER JOIN tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
WHERE
    curves.method <> 'pass_at_k'
    AND (curves.budget & (curves.budget - 1) = 0 OR curves.method IN ('beam_search', 'dvts'))
    -- Of a pool that is neither split nor beside one for difficulty, the samples that say how hard a problem is
    -- are those that solve it.
    AND (
        curves.bucket = 'all'
        OR (curves.task, curves.policy) IN (
            SELECT (task, policy) FROM difficulty WHERE pool = 'difficulty'
            UNION
            SELECT (task, policy) FROM pool_outcomes WHERE part = 'first half'
        )
    )
ORDER BY
    scale, task, policies.n_parameters, policy, prms.n_parameters, prm, curves.method,
    curves.scoring, curves.voting, curves.bucket, curves.budget;
