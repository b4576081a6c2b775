-- Table 5: CoT, majority voting and compute-optimal TTS per policy of one task.
-- One row per policy, series and budget (see gain_series in macros.sql); a policy without results
-- has one row whose series is NULL. Parameters: task, scoring, voting.
SELECT *
FROM gain_series($scoring, $voting)
WHERE task = $task
ORDER BY family, n_parameters, policy, series, budget;
