-- One method (or the mean of several) against another, per task, policy and PRM, at the largest
-- budget that both were run at. Majority voting takes no PRM and stands beside each.
-- Parameters: first, second (patterns of methods), prms (of titles or formats), ability (pattern of
-- abler, poorer, unknown: the half of the task's PRMs by F1 of finding wrong steps; the median is an
-- abler one), difficulty, policies, tasks, scoring, voting, scale.
WITH
found AS (
    SELECT *
    FROM tested_outcomes($scale)
    WHERE
        (method = 'majority' OR (scoring = $scoring AND voting = $voting))
        AND regexp_full_match(policy_title, $policies)
        AND regexp_full_match(task_title, $tasks)
        AND regexp_full_match(coalesce(bucket, 'unknown'), $difficulty)
),
halves AS (
    SELECT
        task,
        prm,
        ability,
        if(ability >= median(ability) OVER (PARTITION BY task), 'abler', 'poorer') AS half
    FROM abilities()
    WHERE (task, prm) IN (SELECT DISTINCT (task, prm) FROM found)
),
prms_of AS (
    SELECT DISTINCT
        found.task,
        found.policy,
        found.prm,
        found.prm_title
        || coalesce(format(' (F1 {:.1f})', halves.ability), '') AS prm_title
    FROM found
    LEFT JOIN halves ON halves.task = found.task AND halves.prm = found.prm
    WHERE
        (regexp_full_match(prm_title, $prms) OR regexp_full_match(prm_format, $prms))
        AND regexp_full_match(coalesce(halves.half, 'unknown'), $ability)
),
pairs AS (
    SELECT
        found.task,
        found.task_title,
        found.policy_title,
        prms_of.prm_title,
        found.budget,
        found.problem_id,
        avg(accuracy) FILTER (regexp_full_match(method, $first)) AS value,
        avg(accuracy) FILTER (regexp_full_match(method, $second)) AS reference
    FROM found
    INNER JOIN prms_of
        ON
            found.task = prms_of.task
            AND found.policy = prms_of.policy
            AND (found.prm = prms_of.prm OR found.prm IS NULL)
    GROUP BY ALL
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
