-- Table 2: accuracy under each rule that turns step scores and votes into one answer, at the
-- largest budget that every rule of the policy, PRM and method has, and at those of other PRMs.
-- rule: majority, or scoring and voting; one row per policy, method, PRM and rule. A method that has
-- not been run with a PRM has one row whose rule is NULL. Majority over best-of-N's samples is the
-- pool's own majority vote. Rows without a policy hold what the paper prints (column printed), which
-- names no policy, method or budget. Parameters: task.
WITH
methods AS (
    SELECT DISTINCT method
    FROM (SELECT method FROM cells WHERE task = $task UNION SELECT method FROM curves WHERE task = $task)
    WHERE method IN ('best_of_n', 'beam_search', 'dvts')
),
ruled AS (
    SELECT curves.*, prms.prm AS of_prm
    FROM curves
    INNER JOIN prms ON curves.prm = prms.prm OR (curves.prm IS NULL AND curves.method = 'majority')
    WHERE
        curves.task = $task
        AND curves.bucket = 'all'
        AND curves.method IN ('majority', 'best_of_n', 'beam_search', 'dvts')
),
answers AS (
    SELECT
        policy,
        of_prm AS prm,
        if(method = 'majority', 'best_of_n', method) AS method,
        if(voting = 'majority' OR method = 'majority', 'majority', scoring || ' ' || voting) AS rule,
        budget, accuracy, ci_low, ci_high, n_problems
    FROM ruled
),
largest AS (
    SELECT policy, prm, method, min(largest) AS largest
    FROM (SELECT policy, prm, method, rule, max(budget) AS largest FROM answers GROUP BY ALL)
    GROUP BY ALL
    HAVING count(*) > 1
),
budgets AS (
    SELECT DISTINCT policy, method, largest AS budget FROM largest
),
study_rows AS (
    SELECT
        policies.policy,
        policies.title AS policy_title,
        policies.family,
        policies.n_parameters,
        prms.prm,
        prms.title AS prm_title,
        prms.n_parameters AS prm_n_parameters,
        methods.method,
        answered.rule,
        answered.budget,
        answered.accuracy,
        answered.ci_low,
        answered.ci_high,
        answered.n_problems
    FROM (SELECT DISTINCT policy, prm FROM planned() WHERE task = $task) AS shown
    INNER JOIN policies USING (policy)
    INNER JOIN prms USING (prm)
    CROSS JOIN methods
    LEFT JOIN (
        SELECT answers.*
        FROM answers
        INNER JOIN budgets USING (policy, method, budget)
        INNER JOIN largest USING (policy, prm, method)
        WHERE answers.budget <= largest.largest
    ) AS answered USING (policy, prm, method)
),
paper_rows AS (
    SELECT
        prms.prm,
        prms.title AS prm_title,
        prms.n_parameters AS prm_n_parameters,
        if(
            published.method = 'Majority Vote',
            'majority',
            regexp_replace(lower(published.method), 'prm-(\w+)-(\w+)', 'prm_\1 prm_\2')
        ) AS rule,
        published.value::VARCHAR AS printed
    FROM published
    INNER JOIN prms ON name_key(published.prm) IN (name_key(prms.title), name_key(prms.prm))
    INNER JOIN tasks ON name_key(published.task) IN (name_key(tasks.title), name_key(tasks.task))
    WHERE published.item = 'Table 2' AND tasks.task = $task
)
SELECT *, NULL::VARCHAR AS printed FROM study_rows
UNION ALL BY NAME
SELECT * FROM paper_rows
ORDER BY policy IS NULL, family, n_parameters, policy, method, prm_n_parameters, prm, rule;
