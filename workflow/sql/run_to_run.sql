-- How much an accuracy would differ if the same problems were run with other seeds, beside half
-- its interval over problems, for majority voting and best-of-N with one PRM, and for searches that were
-- repeated. Fractions. One row per policy, method and budget; of the first two, one without results has
-- one row whose budget is NULL.
-- Parameters: task, scoring.
WITH
found AS (
    SELECT * FROM run_to_run
    WHERE
        task = $task
        AND (
            method = 'majority'
            OR (scoring = $scoring AND voting = 'prm_max' AND prm = main_prm($task))
        )
        AND (method <> 'majority' OR prm IS NULL)
),
spread AS (
    SELECT
        curves.policy,
        curves.prm,
        curves.method,
        curves.budget,
        (curves.ci_high - curves.ci_low) / 2 AS half_interval
    FROM curves
    WHERE
        curves.task = $task
        AND curves.bucket = 'all'
        AND (
            curves.method = 'majority'
            OR (curves.scoring = $scoring AND curves.voting = 'prm_max')
        )
)
SELECT
    policies.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    methods.method,
    found.budget,
    found.standard_error AS run_to_run,
    spread.half_interval,
    settings.confidence,
    prms.title AS prm_title
FROM (SELECT DISTINCT policy FROM planned() WHERE task = $task) AS shown
INNER JOIN policies USING (policy)
CROSS JOIN settings
CROSS JOIN (
    SELECT unnest(['majority', 'best_of_n']) AS method UNION SELECT method FROM found
) AS methods
LEFT JOIN found ON found.policy = policies.policy AND found.method = methods.method
LEFT JOIN spread
    ON
        spread.policy = found.policy
        AND spread.prm IS NOT DISTINCT FROM found.prm
        AND spread.method = found.method
        AND spread.budget = found.budget
LEFT JOIN prms ON prms.prm = found.prm
WHERE methods.method IN ('majority', 'best_of_n') OR found.budget IS NOT NULL
ORDER BY family, policies.n_parameters, policy, method, budget;
