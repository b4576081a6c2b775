-- Accuracy against seconds of the engines per problem, by method and policy, with one PRM.
-- One row per point; NULL budgets are methods without results, NULL seconds are not known.
-- Parameters: task, scoring, voting.
SELECT *
FROM accuracy_points($task, $scoring, $voting)
WHERE
    bucket = 'all'
    AND method <> 'pass_at_k'
    AND prm IS NOT DISTINCT FROM main_prm($task)
ORDER BY family, n_parameters, policy, method, budget;
