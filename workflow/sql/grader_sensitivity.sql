-- The evaluation pool under two graders: this study's and the official rules. One row per task and
-- policy; NULL where nothing has been run. A pair is a different answer of a problem; what a grader
-- could not decide counts as wrong. accuracies, official_accuracies: share of right samples per
-- problem, in the same order. replicates, confidence, seed: the study's settings of intervals.
WITH
verdicts AS (
    SELECT
        task,
        policy,
        problem_id,
        answer,
        coalesce(correct, FALSE) AS here,
        coalesce(official_correct, FALSE) AS official
    FROM pools
    WHERE pool = 'evaluation'
),
pairs AS (
    SELECT
        task,
        policy,
        count(*) AS n_pairs,
        count(*) FILTER (here AND NOT official) AS n_right_here_only,
        count(*) FILTER (official AND NOT here) AS n_right_official_only
    FROM (SELECT DISTINCT * FROM verdicts)
    GROUP BY ALL
),
accuracies AS (
    SELECT
        task,
        policy,
        list(here ORDER BY problem_id) AS accuracies,
        list(official ORDER BY problem_id) AS official_accuracies
    FROM (
        SELECT
            task,
            policy,
            problem_id,
            avg(here::INTEGER) AS here,
            avg(official::INTEGER) AS official
        FROM verdicts
        GROUP BY ALL
    )
    GROUP BY task, policy
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    pairs.n_pairs,
    pairs.n_right_here_only,
    pairs.n_right_official_only,
    accuracies.accuracies,
    accuracies.official_accuracies,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM ranked_tasks() AS tasks
CROSS JOIN settings
INNER JOIN (SELECT DISTINCT task, policy FROM planned()) AS shown USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN pairs USING (task, policy)
LEFT JOIN accuracies USING (task, policy)
ORDER BY tasks.task_rank, policies.family, policies.n_parameters, policies.policy;
