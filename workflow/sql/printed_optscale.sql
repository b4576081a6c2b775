-- Curves that another paper prints (data/published/optscale.csv) beside this study's own of the same task,
-- policy and PRM, where it has them. One row per series, task, method and budget; series: 'printed', or the
-- method where it is this study's. ci_low and ci_high: of this study's alone. tokens: of all samples of a
-- problem, mean.
-- Parameters: scoring, voting.
WITH
printed AS (
    SELECT
        'printed' AS series, optscale.task, optscale.policy, max(optscale.prm) OVER () AS prm, optscale.method,
        optscale.budget, optscale.accuracy, NULL::DOUBLE AS ci_low, NULL::DOUBLE AS ci_high,
        optscale.tokens, optscale.source, NULL::BIGINT AS n_problems
    FROM optscale
),
-- What is printed, under the names of this study. Names are compared before curves are: of few names,
-- thousands of points.
named AS MATERIALIZED (
    SELECT DISTINCT
        printed.task, printed.policy, printed.prm, printed.method, tasks.task AS own_task,
        policies.policy AS own_policy, prms.prm AS own_prm
    FROM (SELECT DISTINCT task, policy, prm, method FROM printed) AS printed
    INNER JOIN tasks ON name_key(printed.task) IN (name_key(tasks.title), name_key(tasks.task))
    INNER JOIN policies
        ON name_key(printed.policy) IN (name_key(policies.title), name_key(policies.policy))
    LEFT JOIN prms ON name_key(printed.prm) IN (name_key(prms.title), name_key(prms.prm))
),
own AS (
    SELECT DISTINCT
        curves.method AS series, named.task, named.policy, named.prm, curves.method, curves.budget,
        curves.accuracy, curves.ci_low, curves.ci_high, curves.tokens, NULL::VARCHAR AS source,
        curves.n_problems
    FROM curves
    INNER JOIN named
        ON
            named.own_task = curves.task
            AND named.own_policy = curves.policy
            AND named.method = curves.method
    WHERE
        curves.bucket = 'all'
        AND (
            curves.method = 'majority'
            OR (
                named.own_prm = curves.prm
                AND curves.scoring = $scoring
                AND curves.voting = $voting
            )
        )
)
SELECT * FROM printed
UNION ALL BY NAME
SELECT * FROM own
ORDER BY
    array_position(['MATH-500', 'AIME24', 'AMC23', 'AIME25', 'GSM8K'], task) NULLS LAST, task, method,
    series = 'printed' DESC, budget;
