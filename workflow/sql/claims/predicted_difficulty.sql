-- Strategies chosen by predicted difficulty against another way to choose, on other problems both, at the
-- largest budget, per task, policy and PRM. widening is of the difference.
-- Parameters: against (true_difficulty, one_strategy or majority), policies, tasks, scoring, voting,
-- scale (public: what others ran).
WITH
problems_of AS (
    SELECT task, policy, list(problem_id ORDER BY problem_id) AS problem_ids
    FROM predictions
    WHERE prm IS NULL
    GROUP BY ALL
),
found AS (
    SELECT *
    FROM predicted_outcomes
    WHERE scoring = $scoring AND voting = $voting
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, prm)
)
SELECT
    concat_ws(', ', policies.title, prms.title, tasks.title, 'N = ' || predicted.budget) AS case_name,
    predicted.task,
    policies.model AS policy,
    predicted.prm,
    problems_of.problem_ids,
    predicted.accuracies AS value,
    other.accuracies AS reference,
    gaps.widening AS difference_widening
FROM found AS predicted
INNER JOIN found AS other USING (task, policy, prm, budget)
INNER JOIN predicted_gaps AS gaps USING (task, policy, prm, scoring, voting, budget)
INNER JOIN problems_of USING (task, policy)
INNER JOIN policies USING (policy)
INNER JOIN prms USING (prm)
INNER JOIN tasks USING (task)
WHERE
    predicted.rule = 'predicted'
    AND other.rule = $against
    AND gaps.against = $against
    AND regexp_full_match(policies.title, $policies)
    AND regexp_full_match(tasks.title, $tasks)
    AND if(
        $scale = 'public',
        policies.origin = 'adopted',
        (predicted.task, predicted.policy) IN (SELECT (task, policy) FROM tested_pairs($scale))
    )
ORDER BY predicted.task, policies.family, policies.n_parameters, case_name;
