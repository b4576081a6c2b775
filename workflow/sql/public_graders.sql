-- How far verdicts of pools that others drew hang on the grader (judged_twice): one row per task, policy and
-- other grader. Rollouts of others that are no pool of samples have none. replicates, confidence, seed: the
-- study's settings of intervals.
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    graders.grader,
    graders.title AS grader_title,
    judged.n_pairs,
    judged.n_right_by_ours_only,
    judged.n_right_by_other_only,
    judged.accuracies,
    judged.other_accuracies,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM judged_twice() AS judged
INNER JOIN tasks USING (task)
INNER JOIN policies USING (policy)
INNER JOIN other_graders() AS graders USING (grader)
CROSS JOIN settings
WHERE policies.origin = 'adopted'
ORDER BY
    tasks.task, policies.family, policies.n_parameters, policies.policy, graders.rank;
