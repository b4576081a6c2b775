-- Compute-optimal selection four ways, per policy and PRM of one task, at the budget with the most
-- strategies to choose from (of equals the largest). One row per policy, PRM and rule; prm is NULL
-- where the PRM is chosen too. What has not been run has one row whose rule is NULL.
-- Parameters: task, scoring, voting.
WITH
found AS (
    SELECT * FROM selection WHERE task = $task AND scoring = $scoring AND voting = $voting
),
asked AS (SELECT first(budget ORDER BY n_strategies DESC, budget DESC) AS budget FROM found),
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
    found.rule,
    asked.budget,
    found.accuracy,
    found.ci_low,
    found.ci_high,
    found.n_strategies,
    found.n_problems
FROM pairs
CROSS JOIN asked
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
LEFT JOIN found
    ON
        found.policy = pairs.policy
        AND found.prm IS NOT DISTINCT FROM pairs.prm
        AND found.budget = asked.budget
ORDER BY
    family, policies.n_parameters, pairs.policy,
    pairs.prm IS NULL, prm_n_parameters, pairs.prm, found.rule;
