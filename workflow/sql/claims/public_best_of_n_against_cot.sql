-- Best-of-N of one model at the largest N of its pool against one greedy answer of another, on the
-- problems that have both. Parameters: model, against (pattern), tasks, scoring, voting.
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
)
SELECT
    format(
        '{}, N = {}, against {} on {}',
        best.policy_title, best.budget, cot.policy_title, best.task_title
    ) AS case_name,
    best.task,
    list(best.problem_id ORDER BY best.problem_id) AS problem_ids,
    list(best.accuracy ORDER BY best.problem_id) AS value,
    list(cot.accuracy ORDER BY best.problem_id) AS reference
FROM best
INNER JOIN public_cot() AS cot USING (task, problem_id)
WHERE regexp_full_match(cot.model, $against)
GROUP BY best.task, best.task_title, best.policy_title, best.budget, cot.policy_title
ORDER BY case_name;
