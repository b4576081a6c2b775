-- Best-of-N of one model at the largest N of its pool against one greedy answer of another, on the
-- problems that have both. The first case counts a missing answer as wrong, the second leaves the
-- problems out to which the other model has none. Parameters: model, against (pattern), tasks, scoring,
-- voting.
WITH
best AS (
    SELECT *
    FROM public_outcomes()
    WHERE
        model = $model
        AND regexp_full_match(task_title, $tasks)
        AND part = 'whole'
        AND method = 'best_of_n'
        AND scoring = $scoring
        AND voting = $voting
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy)
),
pairs AS (
    SELECT
        best.*,
        cot.policy_title AS other_title,
        cot.accuracy AS reference,
        cot.has_answer
    FROM best
    INNER JOIN public_cot() AS cot USING (task, problem_id)
    WHERE regexp_full_match(cot.model, $against)
),
counted AS (
    SELECT *, 0 AS way, 'no answer is wrong' AS counting FROM pairs
    UNION ALL
    SELECT *, 1, 'problems without an answer of the other left out' FROM pairs WHERE has_answer
)
SELECT
    format(
        '{}, N = {}, against {} on {}: {}', policy_title, budget, other_title, task_title, counting
    ) AS case_name,
    task,
    list(problem_id ORDER BY problem_id) AS problem_ids,
    list(accuracy ORDER BY problem_id) AS value,
    list(reference ORDER BY problem_id) AS reference
FROM counted
GROUP BY task, task_title, policy_title, budget, other_title, way, counting
ORDER BY task, policy_title, other_title, way;
