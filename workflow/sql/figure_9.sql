-- Figure 9: accuracy over budget by method for each policy that is no Llama at each difficulty, with one PRM.
-- One row per point; a method without results has one row whose budget is NULL.
-- Parameters: task, scoring, voting.
SELECT *
FROM accuracy_points($task, $scoring, $voting)
WHERE bucket <> 'all' AND prm IS NOT DISTINCT FROM main_prm($task) AND family NOT ILIKE '%llama%'
ORDER BY
    family, n_parameters, policy, list_position(['easy', 'medium', 'hard'], bucket), method, budget;
