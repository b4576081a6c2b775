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
own AS (
    SELECT DISTINCT
        curves.method AS series, printed.task, printed.policy, printed.prm, curves.method, curves.budget,
        curves.accuracy, curves.ci_low, curves.ci_high, curves.tokens, NULL::VARCHAR AS source,
        curves.n_problems
    FROM curves
    INNER JOIN tasks USING (task)
    INNER JOIN policies USING (policy)
    LEFT JOIN prms ON prms.prm = curves.prm
    INNER JOIN printed
        ON
            name_key(printed.task) IN (name_key(tasks.title), name_key(tasks.task))
            AND name_key(printed.policy) IN (name_key(policies.title), name_key(policies.policy))
            AND printed.method = curves.method
    WHERE
        curves.bucket = 'all'
        AND (
            curves.method = 'majority'
            OR (
                name_key(printed.prm) IN (name_key(prms.title), name_key(prms.prm))
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
