-- How far verdicts of the study's own evaluation pools hang on the grader (judged_twice): one row per
-- task, policy and other grader; NULL where nothing has been run. replicates, confidence, seed: the
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
FROM ranked_tasks() AS tasks
CROSS JOIN settings
INNER JOIN (SELECT DISTINCT task, policy FROM planned()) AS shown USING (task)
INNER JOIN policies USING (policy)
CROSS JOIN other_graders() AS graders
LEFT JOIN judged_twice() AS judged USING (task, policy, grader)
WHERE policies.origin = 'run'
ORDER BY
    tasks.task_rank, policies.family, policies.n_parameters, policies.policy, graders.rank;
