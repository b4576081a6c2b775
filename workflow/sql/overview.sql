-- Overview: one row per task and policy. NULL where nothing has been run.
-- Accuracies, their interval ends and the least Pass@1 of easy and medium problems are fractions; tokens are generated tokens per sample.
WITH
greedy AS (
    SELECT task, policy, accuracy, ci_low, ci_high, n_problems FROM curves
    WHERE method = 'cot' AND bucket = 'all'
),
sampled AS (
    SELECT task, policy, accuracy, ci_low, ci_high, n_problems FROM curves
    WHERE method = 'pass_at_k' AND budget = 1 AND bucket = 'all'
),
-- Of some policies that others ran there are searches alone.
answered AS (
    SELECT task, policy, max(n_problems) AS n_problems FROM curves WHERE bucket = 'all' GROUP BY ALL
),
buckets AS (
    SELECT
        task,
        policy,
        count(*) FILTER (bucket = 'easy') AS n_easy,
        count(*) FILTER (bucket = 'medium') AS n_medium,
        count(*) FILTER (bucket = 'hard') AS n_hard
    FROM difficulty
    GROUP BY ALL
),
samples AS (
    SELECT
        task,
        policy,
        count(*) / count(DISTINCT problem_id) AS samples_per_problem,
        avg(n_tokens) AS tokens_per_sample,
        avg((finish_reason = 'length')::INTEGER) AS cut_short,
        avg((status = 'no_answer')::INTEGER) AS without_answer,
        avg((status = 'timeout')::INTEGER) AS timed_out
    FROM pools
    WHERE pool = 'evaluation'
    GROUP BY ALL
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    policies.origin,
    coalesce(sampled.n_problems, greedy.n_problems, answered.n_problems) AS n_problems,
    tasks.n_problems AS n_problems_of_task,
    greedy.accuracy AS greedy,
    greedy.ci_low AS greedy_low,
    greedy.ci_high AS greedy_high,
    sampled.accuracy AS sampled,
    sampled.ci_low AS sampled_low,
    sampled.ci_high AS sampled_high,
    samples.samples_per_problem,
    buckets.n_easy,
    buckets.n_medium,
    buckets.n_hard,
    settings.easy AS easy_from,
    settings.medium AS medium_from,
    samples.tokens_per_sample,
    samples.cut_short,
    samples.without_answer,
    samples.timed_out
FROM ranked_tasks() AS tasks
INNER JOIN (SELECT DISTINCT task, policy FROM planned()) AS shown USING (task)
INNER JOIN policies USING (policy)
CROSS JOIN settings
LEFT JOIN greedy USING (task, policy)
LEFT JOIN sampled USING (task, policy)
LEFT JOIN answered USING (task, policy)
LEFT JOIN buckets USING (task, policy)
LEFT JOIN samples USING (task, policy)
ORDER BY tasks.task_rank, policies.family, policies.n_parameters, policies.policy;
