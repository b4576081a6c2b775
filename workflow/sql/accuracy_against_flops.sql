-- Accuracy against floating-point operations per problem, by method and policy, with one PRM.
-- FLOPs are 2 N D: two per parameter and generated token, plus two per PRM parameter and token that
-- the PRM computed. One row per point; NULL budgets are methods without results.
-- Parameters: task, scoring, voting.
SELECT
    *,
    2 * n_parameters * tokens AS policy_flops,
    CASE
        WHEN method IN ('cot', 'majority') THEN 0
        ELSE 2 * prm_n_parameters * prm_tokens
    END AS prm_flops,
    policy_flops + prm_flops AS flops
FROM accuracy_points($task, $scoring, $voting)
WHERE
    bucket = 'all'
    AND method <> 'pass_at_k'
    AND prm IS NOT DISTINCT FROM main_prm($task)
ORDER BY family, n_parameters, policy, method, budget;
