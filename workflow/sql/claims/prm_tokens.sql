-- Tokens that the policy generates in a search with one PRM against those with another, per task, policy
-- and method, at the largest budget that both ran: per problem and unit of N, as subtrees of DVTS belong to
-- every N. What a search shared with others counts in full.
-- Parameters: more, fewer (patterns of titles: the PRM that takes more tokens, and the other), methods,
-- prms (of both), policies, tasks, scale.
WITH
spent AS (
    SELECT
        costs.task,
        costs.policy,
        policies.title AS policy_title,
        policies.family,
        policies.n_parameters,
        prms.title AS prm_title,
        costs.method,
        costs.budget,
        problems.problem_id,
        sum(costs.generated_tokens) / sum(costs.n_units * costs.unit_budget) AS tokens
    FROM problem_costs AS costs
    SEMI JOIN tested_pairs($scale) AS tested
        ON tested.task = costs.task AND tested.policy = costs.policy
    INNER JOIN problems ON problems.task = costs.task AND problems.problem_hash = costs.problem_hash
    INNER JOIN policies ON policies.policy = costs.policy
    INNER JOIN prms ON prms.prm = costs.prm
    WHERE
        regexp_full_match(costs.method, $methods)
        AND NOT is_beyond(costs.policy, costs.budget)
        AND regexp_full_match(policies.title, $policies)
        AND regexp_full_match(prms.title, $prms)
    GROUP BY ALL
),
pairs AS (
    SELECT
        one.* EXCLUDE (prm_title),
        one.prm_title AS first_title,
        other.prm_title AS second_title,
        other.tokens AS other_tokens
    FROM spent AS one
    INNER JOIN spent AS other USING (task, policy, method, problem_id)
    WHERE
        one.budget IS NOT DISTINCT FROM other.budget
        AND regexp_full_match(one.prm_title, $more)
        AND regexp_full_match(other.prm_title, $fewer)
    QUALIFY
        one.budget IS NOT DISTINCT FROM max(one.budget) OVER (
            PARTITION BY one.task, one.policy, one.method, one.prm_title, other.prm_title
        )
)
SELECT
    concat_ws(
        ', ',
        pairs.policy_title,
        pairs.method,
        pairs.first_title || ' against ' || pairs.second_title,
        tasks.title,
        'N = ' || pairs.budget
    ) AS case_name,
    pairs.task,
    list(pairs.problem_id ORDER BY pairs.problem_id) AS problem_ids,
    list(pairs.tokens ORDER BY pairs.problem_id) AS value,
    list(pairs.other_tokens ORDER BY pairs.problem_id) AS reference,
    'tokens' AS value_unit
FROM pairs
INNER JOIN ranked_tasks() AS tasks ON tasks.task = pairs.task
WHERE regexp_full_match(tasks.title, $tasks)
GROUP BY ALL
ORDER BY
    any_value(tasks.task_rank), any_value(pairs.family), any_value(pairs.n_parameters), case_name;
