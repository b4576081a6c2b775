-- The evaluation pool under this study's grader and another: the official rules, or math-verify as it
-- comes. One row per task, policy and other grader; NULL where nothing has been run. Rollouts of others
-- without a pool, which nobody here can run, have no row. A pair is a
-- different answer of a problem; what a grader could not decide counts as wrong. accuracies,
-- other_accuracies: share of right samples per problem, in the same order. replicates, confidence,
-- seed: the study's settings of intervals.
WITH
verdicts AS (
    UNPIVOT (
        SELECT
            task,
            policy,
            problem_id,
            answer,
            coalesce(correct, FALSE) AS right_by_ours,
            coalesce(official_correct, FALSE) AS official,
            coalesce(plain_correct, FALSE) AS "math-verify"
        FROM pools
        WHERE pool = 'evaluation'
    )
    ON official, "math-verify"
    INTO NAME grader VALUE right_by_other
),
pairs AS (
    SELECT
        task,
        policy,
        grader,
        count(*) AS n_pairs,
        count(*) FILTER (right_by_ours AND NOT right_by_other) AS n_right_by_ours_only,
        count(*) FILTER (right_by_other AND NOT right_by_ours) AS n_right_by_other_only
    FROM (SELECT DISTINCT * FROM verdicts)
    GROUP BY ALL
),
accuracies AS (
    SELECT
        task,
        policy,
        grader,
        list(accuracy ORDER BY problem_id) AS accuracies,
        list(other_accuracy ORDER BY problem_id) AS other_accuracies
    FROM (
        SELECT
            task,
            policy,
            grader,
            problem_id,
            avg(right_by_ours::INTEGER) AS accuracy,
            avg(right_by_other::INTEGER) AS other_accuracy
        FROM verdicts
        GROUP BY ALL
    )
    GROUP BY task, policy, grader
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    graders.grader,
    graders.title AS grader_title,
    pairs.n_pairs,
    pairs.n_right_by_ours_only,
    pairs.n_right_by_other_only,
    accuracies.accuracies,
    accuracies.other_accuracies,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM ranked_tasks() AS tasks
CROSS JOIN settings
INNER JOIN (SELECT DISTINCT task, policy FROM planned()) AS shown USING (task)
INNER JOIN policies USING (policy)
CROSS JOIN (
    VALUES (1, 'official', 'official code'), (2, 'math-verify', 'math-verify')
) AS graders (rank, grader, title)
LEFT JOIN pairs USING (task, policy, grader)
LEFT JOIN accuracies USING (task, policy, grader)
WHERE policies.origin != 'adopted' OR pairs.n_pairs IS NOT NULL
ORDER BY
    tasks.task_rank, policies.family, policies.n_parameters, policies.policy, graders.rank;
