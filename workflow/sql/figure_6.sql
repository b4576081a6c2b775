-- Figure 6: accuracy of test-time scaling against the ability of the PRM to find wrong steps.
-- One row per PRM. ability: F1 on steps, in % (table prm_ability). accuracy: mean over policies and
-- search methods at the largest budget that all of them share, as a fraction; NULL if not run.
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
)
SELECT
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    prm_ability.ability,
    prm_ability.source,
    means.budget,
    means.accuracy,
    means.n_runs
FROM prms
LEFT JOIN prm_ability USING (prm)
LEFT JOIN means USING (prm)
ORDER BY prms.n_parameters, prms.prm;
