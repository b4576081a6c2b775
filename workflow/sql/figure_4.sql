-- Figures 4 and 5: accuracy over budget for two policies and every PRM of one task, by method.
-- One row per point; a method without results has one row whose budget is NULL.
-- Parameters: task, scoring, voting.
SELECT *
FROM accuracy_points($task, $scoring, $voting)
WHERE bucket = 'all' AND policy IN (FROM main_policies($task))
ORDER BY family, n_parameters, policy, prm_ability NULLS LAST, prm_n_parameters, prm, method, budget;
