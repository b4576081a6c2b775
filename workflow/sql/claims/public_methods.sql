-- One way to use a policy against another, by what others ran: per model, on the problems that have
-- both. By difficulty, a pool is split in halves, one for difficulty and one for evaluation: two cases,
-- one each way round. x: size of the policy, for trends within a family.
-- Parameters: models (pattern of names), first, second (a method, or one_sample for one sample of the
-- pool), budget (0: the largest N of the first), difficulty, tasks, scoring, voting.
WITH
matching AS (
    SELECT *
    FROM public_outcomes()
    WHERE
        regexp_full_match(model, $models)
        AND regexp_full_match(task_title, $tasks)
        AND if(
            $difficulty = '.*',
            part = 'whole',
            part IN ('first half', 'second half') AND regexp_full_match(bucket, $difficulty)
        )
),
strategies AS (
    SELECT *
    FROM matching
    WHERE method = 'majority' OR (scoring = $scoring AND voting = $voting)
    UNION ALL
    SELECT * REPLACE ('one_sample' AS method) FROM matching WHERE method = 'pass_at_k' AND budget = 1
),
value_of AS (
    SELECT *
    FROM strategies
    WHERE method = $first AND budget > 1 AND ($budget = 0 OR budget = $budget)
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, part)
)
SELECT
    concat_ws(
        ', ',
        value_of.policy_title,
        coalesce(value_of.prm_title, other.prm_title),
        value_of.task_title,
        'N = ' || value_of.budget,
        if(value_of.part = 'whole', NULL, value_of.bucket || ', best-of-N on the ' || value_of.part)
    ) AS case_name,
    value_of.task,
    list(value_of.problem_id ORDER BY value_of.problem_id) AS problem_ids,
    list(value_of.accuracy ORDER BY value_of.problem_id) AS value,
    list(other.accuracy ORDER BY value_of.problem_id) AS reference,
    log10(any_value(value_of.n_parameters)) AS x,
    'tenfold parameters' AS x_unit,
    value_of.task || ' ' || any_value(value_of.family) AS trend
FROM value_of
INNER JOIN strategies AS other
    ON
        other.method = $second
        AND other.task = value_of.task
        AND other.policy = value_of.policy
        AND other.part = value_of.part
        AND other.problem_id = value_of.problem_id
        AND other.budget = if($second = 'one_sample', 1, value_of.budget)
GROUP BY
    value_of.task, value_of.task_title, value_of.policy_title, value_of.budget, value_of.part,
    value_of.bucket, coalesce(value_of.prm_title, other.prm_title)
ORDER BY x, case_name;
