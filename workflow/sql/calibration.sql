-- Calibration: of the samples whose score lies in each tenth of 0..1, the share that is right.
-- One row per policy, PRM and tenth (bin) with samples; a pair without results has one row whose bin
-- is NULL. Parameters: task, scoring.
SELECT
    pairs.*,
    binned.bin,
    binned.n_samples,
    binned.score,
    binned.value AS accuracy,
    binned.ci_low,
    binned.ci_high
FROM pairs($task) AS pairs
LEFT JOIN (
    SELECT * FROM calibration WHERE task = $task AND scoring = $scoring
) AS binned USING (policy, prm)
-- What others have not scored is nothing that is still to run.
WHERE pairs.origin = 'run' OR binned.bin IS NOT NULL
ORDER BY prm_ability NULLS LAST, prm_n_parameters, prm, family, n_parameters, policy, bin;
