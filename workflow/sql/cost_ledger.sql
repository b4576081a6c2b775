-- Cost ledger: one row per task, policy and kind of cell, summed over PRMs (n_prms of them).
-- Tokens are counts, seconds wall time; NULL seconds were not measured.
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    costs.kind,
    costs.method,
    costs.budget,
    count(costs.prm) AS n_prms,
    sum(costs.generated_tokens)::BIGINT AS generated_tokens,
    sum(costs.shared_tokens)::BIGINT AS shared_tokens,
    sum(costs.discarded_tokens)::BIGINT AS discarded_tokens,
    sum(costs.prompt_tokens_computed)::BIGINT AS prompt_tokens_computed,
    sum(costs.prompt_tokens_cached)::BIGINT AS prompt_tokens_cached,
    sum(costs.prm_tokens_computed)::BIGINT AS prm_tokens_computed,
    sum(costs.prm_tokens_shared)::BIGINT AS prm_tokens_shared,
    sum(costs.prm_tokens_cached)::BIGINT AS prm_tokens_cached,
    sum(costs.policy_seconds) AS policy_seconds,
    sum(costs.prm_seconds) AS prm_seconds,
    sum(costs.seconds) AS seconds
FROM cell_costs AS costs
INNER JOIN ranked_tasks() AS tasks USING (task)
INNER JOIN policies USING (policy)
GROUP BY
    tasks.task,
    tasks.title,
    tasks.task_rank,
    policies.policy,
    policies.title,
    policies.family,
    policies.n_parameters,
    costs.kind,
    costs.method,
    costs.budget
ORDER BY
    tasks.task_rank,
    policies.family,
    policies.n_parameters,
    policies.policy,
    list_position(['samples', 'step_scores', 'searches'], costs.kind),
    costs.method,
    costs.budget;
