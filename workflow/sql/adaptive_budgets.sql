-- Accuracy of majority voting and best-of-N that stop early, and of those that do not, of one task: one
-- row per policy, PRM (NULL for majority voting), rule and budget. is_main: of the PRM of figures that
-- show a single one. Parameters: task, scoring.
SELECT
    adaptive.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    policies.origin,
    adaptive.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    adaptive.method,
    adaptive.rule,
    adaptive.budget,
    adaptive.accuracy,
    adaptive.ci_low,
    adaptive.ci_high,
    adaptive.samples,
    adaptive.samples_low,
    adaptive.samples_high,
    adaptive.chosen_low,
    adaptive.chosen_high,
    adaptive.change,
    adaptive.change_low,
    adaptive.change_high,
    adaptive.monte_carlo_error,
    adaptive.n_problems,
    coalesce(adaptive.prm = main_prm($task), true) AS is_main
FROM adaptive
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
WHERE adaptive.task = $task AND (adaptive.scoring IS NULL OR adaptive.scoring = $scoring)
ORDER BY
    family, policies.n_parameters, policy, prm_n_parameters NULLS FIRST, prm NULLS FIRST,
    list_position(['fixed', 'certain', 'confident', 'threshold'], rule), budget;
