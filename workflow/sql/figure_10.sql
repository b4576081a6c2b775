-- Figures 10 and 11: accuracy over budget for every policy and PRM of one task, by method.
-- One row per point; a method without results has one row whose budget is NULL.
-- Parameters: task, scoring, voting.
SELECT *
FROM accuracy_points($task, $scoring, $voting)
WHERE bucket = 'all'
ORDER BY family, n_parameters, policy, prm_ability NULLS LAST, prm_n_parameters, prm, method, budget;
