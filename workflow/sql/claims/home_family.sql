-- What a PRM adds to majority voting (best-of-N at the largest budget) for policies of the family whose
-- solutions alone it was taught on, against what it adds for the others: one case for each task and PRM
-- that has both. The registry tells the family; a PRM taught on several, or on unknown ones, is no case.
-- Parameters: tasks, scoring, voting, scale.
WITH
matching AS (
    FROM tested_outcomes($scale)
    WHERE
        (method = 'majority' OR (method = 'best_of_n' AND scoring = $scoring AND voting = $voting))
        AND regexp_full_match(task_title, $tasks)
),
gains AS (
    SELECT
        scored.task,
        scored.task_title,
        scored.prm_title,
        scored.problem_id,
        scored.family = scored.prm_family AS is_home,
        scored.accuracy - voted.accuracy AS gain
    FROM (
        FROM matching WHERE method = 'best_of_n'
        QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, prm)
    ) AS scored
    INNER JOIN matching AS voted
        ON
            voted.task = scored.task
            AND voted.policy = scored.policy
            AND voted.problem_id = scored.problem_id
            AND voted.budget = scored.budget
            AND voted.method = 'majority'
    WHERE scored.prm_family IS NOT NULL
),
pairs AS (
    SELECT
        task,
        task_title,
        prm_title,
        problem_id,
        avg(gain) FILTER (is_home) AS value,
        avg(gain) FILTER (NOT is_home) AS reference
    FROM gains
    GROUP BY ALL
    HAVING value IS NOT NULL AND reference IS NOT NULL
)
SELECT
    concat_ws(', ', prm_title, task_title, 'gain over majority voting in points') AS case_name,
    task,
    prm_title AS prm,
    list(problem_id ORDER BY problem_id) AS problem_ids,
    list(value ORDER BY problem_id) AS value,
    list(reference ORDER BY problem_id) AS reference
FROM pairs
GROUP BY task, task_title, prm_title
ORDER BY case_name;
