-- How often a problem is in the wrong bucket of difficulty: one row per task and policy.
-- n_problems of each bucket, and how many of them are expected to belong into another one, given
-- n_samples per problem (table difficulty).
SELECT
    tasks.title AS task_title,
    policies.title AS policy_title,
    max(difficulty.n_samples) AS n_samples,
    count(*) AS n_problems,
    count(*) FILTER (bucket = 'easy') AS n_easy,
    count(*) FILTER (bucket = 'medium') AS n_medium,
    count(*) FILTER (bucket = 'hard') AS n_hard,
    sum(wrong_bucket) AS wrong,
    sum(wrong_bucket) FILTER (bucket = 'easy') AS wrong_easy,
    sum(wrong_bucket) FILTER (bucket = 'medium') AS wrong_medium,
    sum(wrong_bucket) FILTER (bucket = 'hard') AS wrong_hard
FROM difficulty
INNER JOIN policies USING (policy)
INNER JOIN ranked_tasks() AS tasks USING (task)
GROUP BY tasks.task_rank, tasks.title, policies.family, policies.n_parameters, policies.title
ORDER BY tasks.task_rank, policies.family, policies.n_parameters, policies.title;
