-- A small policy with TTS at the largest N of its pool against one greedy answer of another model, on
-- the problems that have both. The strategy of a problem is chosen on other problems of the task. The
-- first case counts a missing answer as wrong, the second leaves the problems out to which the other
-- model has none. Parameters: model (name of the small model), against (pattern of names), tasks.
WITH
small AS (
    SELECT
        chosen.task,
        chosen.policy,
        policies.title AS policy_title,
        chosen.budget,
        chosen.problem_id,
        any_value(chosen.accuracy) FILTER (chosen.rule = 'cross_fitted') AS value,
        any_value(chosen.accuracy) FILTER (chosen.rule = 'in_sample') AS in_sample
    FROM pool_chosen AS chosen
    INNER JOIN policies USING (policy)
    WHERE policies.model = $model AND chosen.part = 'whole' AND chosen.problems = 'all'
    GROUP BY chosen.task, chosen.policy, policies.title, chosen.budget, chosen.problem_id
    HAVING value IS NOT NULL
    QUALIFY chosen.budget = max(chosen.budget) OVER (PARTITION BY chosen.task, chosen.policy)
),
pairs AS (
    SELECT
        small.*,
        large.policy_title AS large_title,
        large.task_title,
        large.accuracy AS reference,
        large.has_answer
    FROM small
    INNER JOIN public_cot() AS large USING (task, problem_id)
    WHERE
        regexp_full_match(large.model, $against)
        AND regexp_full_match(large.task_title, $tasks)
),
counted AS (
    SELECT *, 0 AS way, 'no answer is wrong' AS counting FROM pairs
    UNION ALL
    SELECT *, 1, 'problems without an answer of the large one left out'
    FROM pairs
    WHERE has_answer
)
SELECT
    format(
        '{}, N = {}, against {} on {}: {}',
        counted.policy_title, counted.budget, counted.large_title, counted.task_title, counting
    ) AS case_name,
    counted.task,
    list(problem_id ORDER BY problem_id) AS problem_ids,
    list(value ORDER BY problem_id) AS value,
    list(reference ORDER BY problem_id) AS reference,
    avg(counted.in_sample) AS in_sample,
    any_value(selection.widening) AS widening
FROM counted
LEFT JOIN pool_selection AS selection
    ON
        selection.task = counted.task
        AND selection.policy = counted.policy
        AND selection.budget = counted.budget
        AND selection.part = 'whole'
        AND selection.problems = 'all'
        AND selection.rule = 'cross_fitted'
GROUP BY counted.task, counted.policy_title, counted.budget, large_title, task_title, way, counting
ORDER BY counted.task, counted.policy_title, large_title, way;
