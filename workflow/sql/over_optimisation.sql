-- Best-of-N as N grows: the accuracy of the answer that the PRM scores best, and that score itself.
-- One row per policy, PRM and budget; a pair without results has one row whose budget is NULL.
-- Parameters: task, scoring.
WITH
points AS (
    SELECT
        curves.policy,
        curves.prm,
        curves.budget,
        curves.accuracy,
        curves.ci_low,
        curves.ci_high,
        picks.value AS score,
        picks.ci_low AS score_low,
        picks.ci_high AS score_high
    FROM picks
    INNER JOIN curves USING (task, policy, prm, scoring, budget)
    WHERE
        picks.task = $task
        AND picks.scoring = $scoring
        AND picks.measure = 'score'
        AND curves.method = 'best_of_n'
        AND curves.voting = 'prm_max'
        AND curves.bucket = 'all'
)
SELECT *
FROM pairs($task) AS pairs
LEFT JOIN points USING (policy, prm)
-- What others have not scored is nothing that is still to run.
WHERE pairs.origin = 'run' OR points.budget IS NOT NULL
ORDER BY family, n_parameters, policy, prm_ability NULLS LAST, prm_n_parameters, prm, budget;
