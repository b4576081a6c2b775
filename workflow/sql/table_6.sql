-- Table 6: compute-optimal TTS with each PRM beside CoT, on every task, for the two policies that
-- stand for their families and for policies that think at length (is_reasoning), at the budget at which a
-- PRM has the most strategies to choose from: of equals that of most PRMs, then the largest.
-- One row per task, policy, series (cot, in_sample, cross_fitted) and PRM; a policy without results
-- has one row whose series is NULL. Rows whose series is 'printed' hold what the paper's Table 6
-- prints. Parameters: scoring, voting.
WITH
shown AS (
    FROM ranked_pairs()
    WHERE
        policy IN (FROM main_policies(first_task()))
        OR policy IN (SELECT policy FROM policies WHERE is_reasoning)
),
selected AS (
    SELECT *, sum(n_strategies) OVER (PARTITION BY task, policy, rule, budget) AS n_of_prms
    FROM selection
    WHERE
        scoring = $scoring
        AND voting = $voting
        AND prm IS NOT NULL
        AND rule IN ('in_sample', 'cross_fitted')
        AND NOT is_beyond(policy, budget)
),
accuracies AS (
    SELECT task, policy, 'cot' AS series, NULL AS prm, budget, accuracy, ci_low, ci_high, n_problems
    FROM curves
    WHERE method = 'cot' AND bucket = 'all'
    UNION ALL
    SELECT task, policy, rule, prm, budget, accuracy, ci_low, ci_high, n_problems
    FROM selected
    QUALIFY
        budget = first_value(budget) OVER (
            PARTITION BY task, policy, rule, prm ORDER BY n_strategies DESC, n_of_prms DESC, budget DESC
        )
)
SELECT
    shown.*,
    accuracies.series,
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    accuracies.budget,
    accuracies.accuracy,
    accuracies.ci_low,
    accuracies.ci_high,
    accuracies.n_problems
FROM shown
LEFT JOIN accuracies USING (task, policy)
LEFT JOIN prms USING (prm)
UNION ALL BY NAME
FROM printed_accuracies('Table 6')
ORDER BY
    series = 'printed' NULLS FIRST, family, n_parameters, policy, prm_n_parameters NULLS FIRST, prm,
    list_position(['cot', 'in_sample', 'cross_fitted'], series), task_rank, printed_rank;
