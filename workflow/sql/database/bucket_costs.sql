-- The costs of unit_costs by difficulty: of all problems, and of those of each bucket on their own. Hard
-- problems take more tokens, so what a method costs on all says little of them.
--
-- Tokens are those of the bucket's problems. Seconds that were shared are given back at the rates of the whole
-- cell (engine_rates), so that those of the buckets add up to the cell's.
CREATE TABLE bucket_costs AS
WITH of_bucket AS (
    SELECT
        spent.task, spent.policy, spent.prm, spent.method, spent.budget, difficulty.bucket,
        sum(spent.n_units * spent.unit_budget) AS n,
        sum(spent.generated_tokens) AS generated_tokens,
        sum(spent.prompt_tokens_computed) AS prompt_tokens_computed,
        sum(spent.prm_tokens_computed) AS prm_tokens_computed,
        sum(spent.seconds) AS seconds
    FROM problem_costs AS spent
    INNER JOIN problems USING (task, problem_hash)
    INNER JOIN difficulty USING (task, policy, problem_id)
    GROUP BY spent.task, spent.policy, spent.prm, spent.method, spent.budget, difficulty.bucket
),
alone AS (
    SELECT
        b.* REPLACE (
            if(
                r.is_shared,
                b.generated_tokens * r.policy_rate + b.prm_tokens_computed * r.prm_rate
                + (b.generated_tokens + b.prm_tokens_computed) * r.other_rate,
                b.seconds
            ) AS seconds
        )
    FROM of_bucket AS b
    INNER JOIN engine_rates AS r
        ON r.task = b.task AND r.policy = b.policy AND r.prm IS NOT DISTINCT FROM b.prm
        AND r.method = b.method AND r.budget IS NOT DISTINCT FROM b.budget
),
spent AS (
    SELECT
        task, policy, prm, method, budget, bucket,
        seconds / n AS seconds,
        generated_tokens / n AS generated_tokens,
        prompt_tokens_computed / n AS prompt_tokens_computed,
        prm_tokens_computed / n AS prm_tokens_computed
    FROM alone
)
SELECT
    task, policy, prm, method, budget, 'all' AS bucket, seconds, generated_tokens,
    prompt_tokens_computed, prm_tokens_computed
FROM unit_costs
UNION ALL
-- Best-of-N pays for its samples too.
SELECT
    s.task, s.policy, s.prm, s.method, s.budget, s.bucket,
    s.seconds + if(s.method = 'best_of_n', p.seconds, 0),
    s.generated_tokens + if(s.method = 'best_of_n', p.generated_tokens, 0),
    s.prompt_tokens_computed + if(s.method = 'best_of_n', p.prompt_tokens_computed, 0),
    s.prm_tokens_computed
FROM spent AS s
LEFT JOIN spent AS p
    ON p.task = s.task AND p.policy = s.policy AND p.bucket = s.bucket AND p.method = 'majority';

COMMENT ON TABLE bucket_costs IS
'What a method costs on its own by difficulty, per problem and unit of budget: means over all stored units';
COMMENT ON COLUMN bucket_costs.bucket IS 'Difficulty of the problems: all, easy, medium, hard or unknown';
COMMENT ON COLUMN bucket_costs.budget IS 'Budget N that the cost is of; null where it holds for all';
COMMENT ON COLUMN bucket_costs.seconds IS
'Engine seconds per problem and unit of budget, without loading; where tokens were shared, by engine_rates';
COMMENT ON COLUMN bucket_costs.generated_tokens IS
'Tokens that the policy generates, per problem and unit of budget';
COMMENT ON COLUMN bucket_costs.prompt_tokens_computed IS
'Tokens of prompts that the policy computes, per problem and unit of budget';
COMMENT ON COLUMN bucket_costs.prm_tokens_computed IS
'Tokens that the PRM computes, per problem and unit of budget';
