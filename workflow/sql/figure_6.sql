-- Figure 6: accuracy of test-time scaling against the ability of the PRM to find wrong steps.
-- One row per PRM of the task. ability: F1 of finding the first error, in % (view prm_ability), with its
-- interval where it was measured. accuracy: mean over policies and methods at the largest budget that all of
-- them share, as a fraction; NULL if not run. n_prms_run: PRMs with any results. accuracies: the same of each
-- problem of the task. replicates, confidence, seed: the study's settings of intervals.
-- printed_slope, printed_intercept: of the paper's own line, Y = slope ln(X) + intercept.
-- Parameters: task, scoring, voting.
WITH
points AS (
    SELECT prm, policy, method, budget, accuracy
    FROM accuracy_points($task, $scoring, $voting)
    WHERE bucket = 'all' AND method IN ('best_of_n', 'beam_search', 'dvts') AND budget IS NOT NULL
),
runs AS (SELECT DISTINCT policy, prm, method FROM points),
shared AS (
    -- Only (policy, method) pairs that were run with every PRM: the PRMs are compared on equal terms.
    SELECT policy, method
    FROM runs
    GROUP BY ALL
    HAVING count(DISTINCT prm) = (SELECT count(DISTINCT prm) FROM runs)
),
budget_of AS (
    SELECT max(budget) AS budget
    FROM (
        SELECT budget
        FROM points
        SEMI JOIN shared USING (policy, method)
        GROUP BY budget
        HAVING
            count(*) = (SELECT count(*) FROM shared) * (SELECT count(DISTINCT prm) FROM runs)
    )
),
means AS (
    SELECT
        points.prm,
        any_value(points.budget) AS budget,
        round(avg(points.accuracy), 12) AS accuracy,
        count(*) AS n_runs
    FROM points
    INNER JOIN budget_of USING (budget)
    SEMI JOIN shared USING (policy, method)
    GROUP BY points.prm
),
by_problem AS (
    SELECT outcomes.prm, outcomes.problem_id, round(avg(outcomes.accuracy), 12) AS accuracy
    FROM outcomes
    SEMI JOIN shared USING (policy, method)
    INNER JOIN budget_of USING (budget)
    WHERE outcomes.task = $task AND outcomes.scoring = $scoring AND outcomes.voting = $voting
    GROUP BY ALL
),
problems_of AS (
    SELECT means.prm, list(by_problem.accuracy ORDER BY problem_id) AS accuracies
    FROM means
    INNER JOIN problems ON problems.task = $task
    LEFT JOIN by_problem USING (prm, problem_id)
    GROUP BY means.prm
),
printed AS (
    SELECT
        any_value(number) FILTER (metric LIKE 'fit_slope%') AS printed_slope,
        any_value(number) FILTER (metric LIKE 'fit_intercept%') AS printed_intercept
    FROM printed_numbers()
    WHERE item = 'Figure 6'
)
SELECT
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    abilities.ability,
    abilities.ci_low AS ability_low,
    abilities.ci_high AS ability_high,
    abilities.source,
    means.budget,
    means.accuracy,
    means.n_runs,
    (SELECT count(DISTINCT prm) FROM runs) AS n_prms_run,
    problems_of.accuracies,
    printed.printed_slope,
    printed.printed_intercept,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM prms
SEMI JOIN (SELECT prm FROM planned() WHERE task = $task) AS shown ON shown.prm = prms.prm
CROSS JOIN settings
CROSS JOIN printed
LEFT JOIN (SELECT * FROM abilities() WHERE task = $task) AS abilities USING (prm)
LEFT JOIN means USING (prm)
LEFT JOIN problems_of USING (prm)
ORDER BY prms.n_parameters, prms.prm;
