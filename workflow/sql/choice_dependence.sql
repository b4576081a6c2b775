-- What a choice of methods that knows policy, PRM and difficulty gives on one task against one that does
-- not know one of them (left_out), both made on other problems: one row per pair of policy and PRM that is
-- compared, PRMs in the order of their ability. What is left out of nothing has one row without a policy.
-- Parameters: task, scoring, voting.
WITH
asked AS (FROM (VALUES (1, 'policy'), (2, 'prm'), (3, 'difficulty')) AS asked (place, left_out)),
compared AS (
    SELECT
        dependence.left_out,
        dependence.task,
        of_tasks.problems_of_task,
        dependence.policy,
        policies.title AS policy_title,
        policies.family,
        policies.n_parameters,
        places.policy_place,
        places.n_places,
        dependence.prm,
        prms.title AS prm_title,
        abilities.ability AS prm_ability,
        dependence.budget,
        dependence.problem_ids,
        dependence.informed AS value,
        dependence.uninformed AS reference,
        dependence.choice_deviations
    FROM choice_dependence AS dependence
    LEFT JOIN problems_of_tasks() AS of_tasks USING (task)
    INNER JOIN policies USING (policy)
    INNER JOIN policy_places() AS places USING (policy)
    INNER JOIN prms USING (prm)
    LEFT JOIN (FROM abilities() WHERE task = $task) AS abilities USING (prm)
    WHERE
        dependence.task = $task
        AND dependence.scoring = $scoring
        AND dependence.voting = $voting
)
SELECT
    asked.left_out,
    compared.* EXCLUDE (left_out),
    settings.replicates,
    settings.confidence,
    settings.seed
FROM asked
LEFT JOIN compared USING (left_out)
CROSS JOIN settings
ORDER BY asked.place, prm_ability NULLS LAST, prm, family, n_parameters, policy;
