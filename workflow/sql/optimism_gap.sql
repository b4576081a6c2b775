-- Compute-optimal selection four ways, per policy and PRM of one task, at the budget with the most
-- strategies to choose from (of equals the largest). One row per policy, PRM and rule; prm is NULL
-- where the PRM is chosen too. What the study itself has not run has one row whose rule is NULL.
-- Parameters: task, scoring, voting.
WITH
selected AS (
    SELECT * FROM selection WHERE task = $task AND scoring = $scoring AND voting = $voting
),
asked AS (SELECT first(budget ORDER BY n_strategies DESC, budget DESC) AS budget FROM selected),
pairs AS (
    SELECT policy, prm FROM planned() WHERE task = $task AND prm IS NOT NULL
    UNION
    SELECT DISTINCT policy, NULL FROM planned() WHERE task = $task
)
SELECT
    pairs.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    pairs.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    abilities.ability AS prm_ability,
    selected.rule,
    asked.budget,
    selected.accuracy,
    selected.ci_low,
    selected.ci_high,
    selected.n_strategies,
    selected.n_problems
FROM pairs
CROSS JOIN asked
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
LEFT JOIN (FROM abilities() WHERE task = $task) AS abilities USING (prm)
LEFT JOIN selected
    ON
        selected.policy = pairs.policy
        AND selected.prm IS NOT DISTINCT FROM pairs.prm
        AND selected.budget = asked.budget
WHERE policies.origin = 'run' OR selected.rule IS NOT NULL
ORDER BY
    family, policies.n_parameters, pairs.policy,
    pairs.prm IS NULL, prm_ability NULLS LAST, prm_n_parameters, pairs.prm, selected.rule;
