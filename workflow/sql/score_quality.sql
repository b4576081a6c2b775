-- What the scores of each PRM are worth for each policy: one row per policy, PRM and measure (see
-- compute_optimal.analyse.score_quality); a pair without results has one row whose measure is NULL.
-- Parameters: task, scoring.
SELECT pairs.*, quality.measure, quality.value, quality.ci_low, quality.ci_high, quality.n_problems
FROM pairs($task) AS pairs
LEFT JOIN (
    SELECT * FROM score_quality WHERE task = $task AND scoring = $scoring
) AS quality USING (policy, prm)
-- What others have not scored is nothing that is still to run.
WHERE pairs.origin = 'run' OR quality.measure IS NOT NULL
ORDER BY family, n_parameters, policy, prm_n_parameters, prm, measure;
