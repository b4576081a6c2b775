CREATE VIEW cell_costs AS
SELECT
    task, policy, prm, method, budget, kind,
    sum(n_units)::BIGINT AS n_units,
    sum(sample_requests)::BIGINT AS sample_requests,
    sum(generated_tokens)::BIGINT AS generated_tokens,
    sum(shared_tokens)::BIGINT AS shared_tokens,
    sum(discarded_tokens)::BIGINT AS discarded_tokens,
    sum(prompt_tokens_computed)::BIGINT AS prompt_tokens_computed,
    sum(prompt_tokens_cached)::BIGINT AS prompt_tokens_cached,
    sum(score_requests)::BIGINT AS score_requests,
    sum(prm_tokens_computed)::BIGINT AS prm_tokens_computed,
    sum(prm_tokens_cached)::BIGINT AS prm_tokens_cached,
    sum(prm_tokens_shared)::BIGINT AS prm_tokens_shared,
    sum(over_context)::BIGINT AS over_context,
    sum(seconds) AS seconds,
    sum(policy_seconds) AS policy_seconds,
    sum(prm_seconds) AS prm_seconds
FROM ledger
GROUP BY ALL;

COMMENT ON VIEW cell_costs IS 'What each cell cost, over all runs that made it';
