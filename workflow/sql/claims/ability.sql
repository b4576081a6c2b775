-- Accuracy of test-time scaling with each PRM, over the PRM's ability to find wrong steps (table
-- prm_ability): the mean over the policies and methods that were run with every PRM, at the largest
-- budget of each. The reference is 0. Parameters: tasks, scoring, voting, scale.
WITH
points AS (
    FROM tested_outcomes($scale)
    WHERE
        prm IN (SELECT prm FROM prm_ability)
        AND scoring = $scoring
        AND voting = $voting
        AND regexp_full_match(task_title, $tasks)
),
shared AS (
    SELECT task, policy, method, max(budget) AS budget
    FROM (
        SELECT task, policy, method, budget
        FROM points
        GROUP BY ALL
        HAVING count(DISTINCT prm) = (SELECT count(DISTINCT prm) FROM points)
    )
    GROUP BY ALL
),
means AS (
    SELECT task, task_title, prm, prm_title, problem_id, avg(accuracy) AS value, 0.0 AS reference
    FROM points
    SEMI JOIN shared USING (task, policy, method, budget)
    GROUP BY ALL
)
SELECT
    format('{} on {}, ability {}', prm_title, task_title, one_decimal(any_value(abilities.ability)))
        AS case_name,
    task,
    prm,
    list(problem_id ORDER BY problem_id) AS problem_ids,
    list(value ORDER BY problem_id) AS value,
    list(reference ORDER BY problem_id) AS reference,
    log10(any_value(abilities.ability)) AS x,
    'tenfold ability' AS x_unit,
    task AS trend
FROM means
INNER JOIN abilities() AS abilities USING (task, prm)
WHERE abilities.ability > 0
GROUP BY task, task_title, prm, prm_title
ORDER BY task, x, case_name;
