-- Every rule that turns scores and votes into an answer, on what others ran: accuracies by problem beside
-- those of majority voting over the same samples. One row per policy, PRM, N and rule; rule: majority, or
-- scoring and voting. N of 3 and more: of two samples the majority is either. monte_carlo_error: of an
-- accuracy that is estimated from random subsets, NULL where it is exact. replicates, confidence, seed: the
-- study's settings of intervals. Parameters: task.
WITH
rules AS (
    SELECT
        prms.prm,
        outcome.policy,
        outcome.budget,
        if(outcome.method = 'majority', 'majority', outcome.scoring || ' ' || outcome.voting) AS rule,
        outcome.method,
        outcome.scoring,
        outcome.voting,
        list(outcome.problem_id ORDER BY outcome.problem_id) AS problem_ids,
        list(outcome.accuracy ORDER BY outcome.problem_id) AS accuracies
    FROM pool_outcomes AS outcome
    INNER JOIN prms ON outcome.prm = prms.prm OR (outcome.prm IS NULL AND outcome.method = 'majority')
    WHERE
        outcome.task = $task
        AND outcome.part = 'whole'
        AND outcome.method IN ('majority', 'best_of_n')
        AND outcome.budget > 2
    GROUP BY ALL
),
majority AS (SELECT * FROM rules WHERE rule = 'majority')
SELECT
    $task AS task,
    of_tasks.problems_of_task,
    policies.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    policies.collection,
    prms.prm,
    prms.title AS prm_title,
    rules.budget,
    rules.method,
    rules.rule,
    curves.accuracy,
    curves.ci_low,
    curves.ci_high,
    nullif(curves.monte_carlo_error, 0) AS monte_carlo_error,
    curves.n_problems,
    rules.problem_ids,
    rules.accuracies AS value,
    majority.accuracies AS reference,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM rules
INNER JOIN majority USING (prm, policy, budget, problem_ids)
INNER JOIN policies USING (policy)
INNER JOIN prms USING (prm)
INNER JOIN curves
    ON
        curves.task = $task
        AND curves.policy = rules.policy
        AND curves.method = rules.method
        AND curves.budget = rules.budget
        AND curves.scoring IS NOT DISTINCT FROM rules.scoring
        AND curves.voting IS NOT DISTINCT FROM rules.voting
        AND (curves.prm = rules.prm OR curves.prm IS NULL)
        AND curves.bucket = 'all'
LEFT JOIN problems_of_tasks() AS of_tasks ON of_tasks.task = $task
CROSS JOIN settings
-- A PRM that scored none of a policy's samples has only the majority's row.
WHERE (rules.policy, rules.prm) IN (SELECT (rules.policy, rules.prm) FROM rules WHERE rules.rule <> 'majority')
ORDER BY
    policies.n_parameters DESC, policies.policy, prms.prm, rules.budget, rules.rule <> 'majority', rules.rule;
