-- Compute-optimal selection among all strategies of a budget, by what others drew: one row per policy,
-- problems, budget and rule. part 'both halves': a choice for each difficulty, mean of both ways round.
-- chosen: what the rule in_sample takes, by its share of the problems. Tokens: a problem's mean at this
-- N if the strategy draws from the pool; NULL where unknown or where a search is among the candidates.
WITH
shares AS (
    SELECT
        task,
        policy,
        if(part = 'whole', 'whole', 'both halves') AS part,
        problems,
        budget,
        rule,
        bucket,
        concat_ws(
            ', ',
            method,
            scoring,
            if(method = 'majority', NULL, voting)
        ) AS strategy,
        avg(share) AS share
    FROM pool_choices
    WHERE rule = 'in_sample'
    GROUP BY ALL
),
chosen AS (
    SELECT
        task,
        policy,
        part,
        problems,
        budget,
        string_agg(
            bucket || ': ' || strategies, '; '
            ORDER BY list_position(['all', 'easy', 'medium', 'hard'], bucket)
        ) AS chosen
    FROM (
        SELECT
            task,
            policy,
            part,
            problems,
            budget,
            bucket,
            string_agg(strategy, ' or ' ORDER BY share DESC, strategy) AS strategies
        FROM shares
        GROUP BY task, policy, part, problems, budget, bucket
    )
    GROUP BY task, policy, part, problems, budget
),
-- Of the very problems that are chosen for: larger budgets leave some out.
spent AS (
    SELECT
        chosen.task,
        chosen.policy,
        chosen.part,
        chosen.problems,
        chosen.budget,
        if(count(samples.tokens) = count(*), avg(samples.tokens), NULL) AS tokens
    FROM pool_chosen AS chosen
    INNER JOIN tokens_of_samples() AS samples USING (task, policy, problem_id)
    WHERE samples.pool = 'evaluation' AND chosen.rule = 'in_sample'
    GROUP BY chosen.task, chosen.policy, chosen.part, chosen.problems, chosen.budget
)
SELECT
    selection.task,
    tasks.title AS task_title,
    selection.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    selection.part,
    selection.problems,
    selection.budget,
    selection.rule,
    selection.accuracy,
    selection.ci_low,
    selection.ci_high,
    selection.n_strategies,
    selection.n_problems,
    chosen.chosen,
    if(selection.problems = 'all', selection.budget * spent.tokens, NULL) AS tokens
FROM pool_selection AS selection
INNER JOIN policies USING (policy)
INNER JOIN tasks USING (task)
LEFT JOIN chosen USING (task, policy, part, problems, budget)
LEFT JOIN spent USING (task, policy, part, problems, budget)
WHERE policies.policy IN (SELECT policy FROM pool_outcomes WHERE method = 'best_of_n')
ORDER BY
    selection.task, policies.n_parameters, selection.policy, selection.part DESC,
    selection.problems, selection.budget,
    list_position(
        ['in_sample', 'fixed_rule', 'cross_fitted', 'oracle', 'optimism_gap'], selection.rule
    );
