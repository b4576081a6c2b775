-- Means over all units of a cell that are stored, by what each makes up of N: a sample 1, a subtree
-- of DVTS M, a beam search its N. So they do not depend on the largest N of the study that asks.
--
-- Best-of-N pays for its samples too. All is what the method costs on its own: tokens that units
-- had in common count for each, and a cell that shared any is given the seconds that they would
-- have taken (engine_rates), NULL where no rate is known.
CREATE TABLE unit_costs AS
WITH counted AS (
    SELECT
        task, policy, prm, method, budget,
        sum(n_units * unit_budget) AS n,
        sum(generated_tokens) AS generated_tokens,
        sum(discarded_tokens) AS discarded_tokens,
        sum(prompt_tokens_computed) AS prompt_tokens_computed,
        sum(prompt_tokens_cached) AS prompt_tokens_cached,
        sum(prm_tokens_computed) AS prm_tokens_computed,
        sum(prm_tokens_cached) AS prm_tokens_cached,
        sum(seconds) AS seconds
    FROM ledger
    GROUP BY task, policy, prm, method, budget
),
alone AS (
    SELECT
        c.* REPLACE (
            if(
                r.is_shared,
                c.generated_tokens * r.policy_rate + c.prm_tokens_computed * r.prm_rate
                + (c.generated_tokens + c.prm_tokens_computed) * r.other_rate,
                c.seconds
            ) AS seconds
        )
    FROM counted AS c
    INNER JOIN engine_rates AS r
        ON r.task = c.task AND r.policy = c.policy AND r.prm IS NOT DISTINCT FROM c.prm
        AND r.method = c.method AND r.budget IS NOT DISTINCT FROM c.budget
),
spent AS (
    SELECT
        task, policy, prm, method, budget,
        seconds / n AS seconds,
        generated_tokens / n AS generated_tokens,
        discarded_tokens / n AS discarded_tokens,
        prompt_tokens_computed / n AS prompt_tokens_computed,
        prompt_tokens_cached / n AS prompt_tokens_cached,
        prm_tokens_computed / n AS prm_tokens_computed,
        prm_tokens_cached / n AS prm_tokens_cached
    FROM alone
),
sampled AS (
    SELECT * FROM spent WHERE method = 'majority'
)
SELECT
    s.task, s.policy, s.prm, s.method, s.budget,
    s.seconds + if(s.method = 'best_of_n', p.seconds, 0) AS seconds,
    s.generated_tokens + if(s.method = 'best_of_n', p.generated_tokens, 0) AS generated_tokens,
    s.discarded_tokens + if(s.method = 'best_of_n', p.discarded_tokens, 0) AS discarded_tokens,
    s.prompt_tokens_computed
        + if(s.method = 'best_of_n', p.prompt_tokens_computed, 0) AS prompt_tokens_computed,
    s.prompt_tokens_cached
        + if(s.method = 'best_of_n', p.prompt_tokens_cached, 0) AS prompt_tokens_cached,
    s.prm_tokens_computed
        + if(s.method = 'best_of_n', p.prm_tokens_computed, 0) AS prm_tokens_computed,
    s.prm_tokens_cached
        + if(s.method = 'best_of_n', p.prm_tokens_cached, 0) AS prm_tokens_cached
FROM spent s
LEFT JOIN sampled p ON p.task = s.task AND p.policy = s.policy;

COMMENT ON TABLE unit_costs IS
'What a method costs on its own, per problem and unit of budget: means over all stored units';
COMMENT ON COLUMN unit_costs.budget IS 'Budget N that the cost is of; null where it holds for all';
COMMENT ON COLUMN unit_costs.seconds IS
'Engine seconds per problem and unit of budget, without loading; where tokens were shared, by engine_rates';
COMMENT ON COLUMN unit_costs.generated_tokens IS
'Tokens that the policy generates, per problem and unit of budget';
COMMENT ON COLUMN unit_costs.discarded_tokens IS
'Generated tokens that are in no answer, per problem and unit of budget';
COMMENT ON COLUMN unit_costs.prompt_tokens_computed IS
'Tokens of prompts that the policy computes, per problem and unit of budget';
COMMENT ON COLUMN unit_costs.prompt_tokens_cached IS
'Tokens of prompts that the policy has in its cache, per problem and unit of budget';
COMMENT ON COLUMN unit_costs.prm_tokens_computed IS
'Tokens that the PRM computes, per problem and unit of budget';
COMMENT ON COLUMN unit_costs.prm_tokens_cached IS
'Tokens that the PRM has in its cache, per problem and unit of budget';
