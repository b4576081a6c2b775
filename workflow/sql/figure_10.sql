-- Figures 10 and 11: accuracy over budget for every policy and PRM of one task, by method.
-- One row per point; a method without results has one row whose budget is NULL. Of what others ran, policies
-- and PRMs with anything over N: nobody means to run the rest.
-- Parameters: task, scoring, voting.
SELECT points.*
FROM accuracy_points($task, $scoring, $voting) AS points
INNER JOIN policies USING (policy)
WHERE points.bucket = 'all'
QUALIFY
    policies.origin = 'run'
    OR count(points.budget) FILTER (points.budget > 1) OVER (PARTITION BY points.policy, points.prm) > 0
ORDER BY
    points.family, points.n_parameters, points.policy, points.prm_ability NULLS LAST, points.prm_n_parameters,
    points.prm, points.method, points.budget;
