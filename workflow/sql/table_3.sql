-- Table 3: small policies with compute-optimal TTS and large ones with CoT, on every task.
-- One row per task, policy and series (cot, in_sample, cross_fitted), with the PRM and budget of the
-- latter two (see best_selection in macros.sql, is_beyond too); a policy without results has one row whose series is NULL. Rows whose series is
-- 'printed' hold what the paper's Table 3 prints for "model" (printed), and the policy of the study
-- that it is, if it is one. Parameters: scoring, voting.
WITH
accuracies AS (
    SELECT
        task, policy, 'cot' AS series, NULL AS prm_title, budget, accuracy, ci_low, ci_high,
        n_problems, false AS is_beyond
    FROM curves
    WHERE method = 'cot' AND bucket = 'all'
    UNION ALL
    SELECT
        task, policy, rule, prm_title, budget, accuracy, ci_low, ci_high, n_problems, is_beyond
    FROM best_selection($scoring, $voting)
    WHERE rule IN ('in_sample', 'cross_fitted')
)
SELECT
    shown.*,
    accuracies.series,
    accuracies.prm_title,
    accuracies.budget,
    accuracies.accuracy,
    accuracies.ci_low,
    accuracies.ci_high,
    accuracies.n_problems,
    accuracies.is_beyond
FROM ranked_pairs() AS shown
LEFT JOIN accuracies USING (task, policy)
UNION ALL BY NAME
FROM printed_accuracies('Table 3')
ORDER BY
    series = 'printed' NULLS FIRST, family, n_parameters, policy,
    is_beyond NULLS FIRST, list_position(['cot', 'in_sample', 'cross_fitted'], series), task_rank,
    printed_rank;
