-- Strategies chosen by predicted difficulty against another way to choose, on other problems both, at the
-- largest budget, per task, policy and PRM.
-- Parameters: against (true_difficulty, one_strategy or majority), policies, tasks, scoring, voting,
-- scale (public: what others ran).
SELECT
    concat_ws(', ', policy_title, prm_title, task_title, 'N = ' || budget) AS case_name,
    task,
    model AS policy,
    prm,
    problem_ids,
    value,
    reference,
    choice_deviations
FROM predicted_comparisons($scoring, $voting)
WHERE
    against = $against
    AND regexp_full_match(policy_title, $policies)
    AND regexp_full_match(task_title, $tasks)
    AND if(
        $scale = 'public',
        origin = 'adopted',
        (task, policy) IN (SELECT (task, policy) FROM tested_pairs($scale))
    )
QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, prm)
ORDER BY task, family, n_parameters, case_name;
