-- One example of each failure of each PRM, step by step, chosen by the rules of
-- compute_optimal.analyse.prm_cases. A failure that was not seen has one row whose step is NULL. score: of the
-- step, in %. n_solutions: how many were looked at, NULL if none. Parameters: task.
WITH
measured AS (
    SELECT prm, n AS n_solutions
    FROM prm_rates
    WHERE task = $task AND policy IS NULL AND measure = 'f1'
)
SELECT
    failures.failure,
    prms.prm,
    prms.title AS prm_title,
    measured.n_solutions,
    policies.title AS policy_title,
    cases.problem_id,
    cases.sample_index,
    cases.problem,
    cases.gold,
    cases.position,
    cases.step,
    cases.truth,
    cases.mark,
    100 / (1 + exp(-cases.margin)) AS score
FROM prms
SEMI JOIN (SELECT prm FROM planned() WHERE task = $task) AS shown ON shown.prm = prms.prm
CROSS JOIN (
    VALUES
    ('over_criticism'), ('error_neglect'), ('localisation_bias'), ('prefers_longer'),
    ('prefers_shorter'), ('disagreement')
) AS failures (failure)
LEFT JOIN measured ON measured.prm = prms.prm
LEFT JOIN (SELECT * FROM prm_cases WHERE task = $task) AS cases
    ON cases.prm = prms.prm AND cases.failure = failures.failure
LEFT JOIN policies ON policies.policy = cases.policy
-- A disagreement is between two PRMs; the others have nothing to show.
WHERE failures.failure != 'disagreement' OR cases.step IS NOT NULL
ORDER BY
    prms.n_parameters, prms.prm, failures.failure, cases.mark IS NOT DISTINCT FROM 'wrong choice',
    cases.position;
