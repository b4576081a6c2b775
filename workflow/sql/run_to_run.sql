-- How much an accuracy would differ if the same problems were run with other seeds, beside half
-- its interval over problems, for majority voting and best-of-N with one PRM, and for searches that were
-- repeated. Fractions. One row per policy, method and budget; of the first two, one without results that the
-- study itself runs has one row whose budget is NULL. run_to_run is NULL where no two runs differed.
-- Parameters: task, scoring.
WITH
repeated AS (
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
        curves.n_problems,
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
    repeated.budget,
    repeated.standard_error AS run_to_run,
    spread.half_interval,
    spread.n_problems,
    settings.confidence,
    prms.title AS prm_title
FROM (SELECT DISTINCT policy FROM planned() WHERE task = $task) AS shown
INNER JOIN policies USING (policy)
CROSS JOIN settings
CROSS JOIN (
    SELECT unnest(['majority', 'best_of_n']) AS method UNION SELECT method FROM repeated
) AS methods
LEFT JOIN repeated ON repeated.policy = policies.policy AND repeated.method = methods.method
LEFT JOIN spread
    ON
        spread.policy = repeated.policy
        AND spread.prm IS NOT DISTINCT FROM repeated.prm
        AND spread.method = repeated.method
        AND spread.budget = repeated.budget
LEFT JOIN prms ON prms.prm = repeated.prm
WHERE
    repeated.budget IS NOT NULL
    OR (methods.method IN ('majority', 'best_of_n') AND policies.origin = 'run')
ORDER BY family, policies.n_parameters, policy, method, budget;
