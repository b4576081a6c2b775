-- A choice of methods that knows policy, PRM and difficulty against one that does not know one of these,
-- both made on other problems, per task, policy and PRM.
-- Parameters: left_out (policy, prm or difficulty), policies, tasks, scoring, voting, scale.
SELECT
    concat_ws(', ', policies.title, prms.title, tasks.title, 'N = ' || dependence.budget) AS case_name,
    dependence.task,
    dependence.policy,
    dependence.prm,
    dependence.problem_ids,
    dependence.informed AS value,
    dependence.uninformed AS reference,
    dependence.choice_deviations
FROM choice_dependence AS dependence
SEMI JOIN tested_pairs($scale) AS tested
    ON tested.task = dependence.task AND tested.policy = dependence.policy
INNER JOIN policies ON policies.policy = dependence.policy
INNER JOIN prms ON prms.prm = dependence.prm
INNER JOIN ranked_tasks() AS tasks ON tasks.task = dependence.task
WHERE
    dependence.left_out = $left_out
    AND dependence.scoring = $scoring
    AND dependence.voting = $voting
    AND regexp_full_match(policies.title, $policies)
    AND regexp_full_match(tasks.title, $tasks)
ORDER BY tasks.task_rank, policies.family, policies.n_parameters, case_name;
