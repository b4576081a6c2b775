-- Means over all units of a cell that are stored, by what each makes up of N: a sample 1, a subtree
-- of DVTS M, a beam search its N. So they do not depend on the largest N of the study that asks.
-- Of all problems (unit_costs), and of those of each difficulty on their own: hard ones take more
-- tokens, so what a method costs on all says little of them.
--
-- Best-of-N pays for its samples too. All is what the method costs on its own: tokens that units
-- had in common count for each, and a cell that shared any is given the seconds that they would
-- have taken and the prompts that would have been computed for them, NULL where no rate is known. The
-- rates are those of the whole cell (engine_rates), so that the seconds of its buckets add up to its own.
CREATE TABLE bucket_costs AS
WITH counts AS (
    SELECT
        task, policy, prm, method, budget, 'all' AS bucket, n_units, unit_budget,
        generated_tokens, discarded_tokens, prompt_tokens_computed, prompt_tokens_cached,
        prm_tokens_computed, prm_tokens_cached, seconds
    FROM ledger
    UNION ALL BY NAME
    SELECT
        s.task, s.policy, s.prm, s.method, s.budget, difficulty.bucket, s.n_units, s.unit_budget,
        s.generated_tokens, s.discarded_tokens, s.prompt_tokens_computed, s.prompt_tokens_cached,
        s.prm_tokens_computed, s.prm_tokens_cached, s.seconds
    FROM problem_costs AS s
    INNER JOIN problems USING (task, problem_hash)
    INNER JOIN difficulty USING (task, policy, problem_id)
),
counted AS (
    SELECT
        task, policy, prm, method, budget, bucket,
        sum(n_units * unit_budget) AS n,
        sum(generated_tokens) AS generated_tokens,
        sum(discarded_tokens) AS discarded_tokens,
        sum(prompt_tokens_computed) AS prompt_tokens_computed,
        sum(prompt_tokens_cached) AS prompt_tokens_cached,
        sum(prm_tokens_computed) AS prm_tokens_computed,
        sum(prm_tokens_cached) AS prm_tokens_cached,
        sum(seconds) AS seconds
    FROM counts
    GROUP BY task, policy, prm, method, budget, bucket
),
alone AS (
    SELECT
        c.* REPLACE (
            if(
                r.is_shared,
                c.generated_tokens * r.policy_rate + c.prm_tokens_computed * r.prm_rate
                + (c.generated_tokens + c.prm_tokens_computed) * r.other_rate,
                c.seconds
            ) AS seconds,
            if(r.is_shared, w.prompts_computed, c.prompt_tokens_computed) AS prompt_tokens_computed,
            if(
                r.is_shared,
                c.prompt_tokens_computed + c.prompt_tokens_cached - w.prompts_computed,
                c.prompt_tokens_cached
            ) AS prompt_tokens_cached
        )
    FROM counted AS c
    INNER JOIN engine_rates AS r
        ON r.task = c.task AND r.policy = c.policy AND r.prm IS NOT DISTINCT FROM c.prm
        AND r.method = c.method AND r.budget IS NOT DISTINCT FROM c.budget
    -- No more than it asked with.
    CROSS JOIN LATERAL (
        SELECT
            if(
                r.prompt_rate IS NULL,
                NULL,
                least(
                    c.generated_tokens * r.prompt_rate, c.prompt_tokens_computed + c.prompt_tokens_cached
                )
            ) AS prompts_computed
    ) AS w
),
spent AS (
    SELECT
        task, policy, prm, method, budget, bucket,
        seconds / n AS seconds,
        generated_tokens / n AS generated_tokens,
        discarded_tokens / n AS discarded_tokens,
        prompt_tokens_computed / n AS prompt_tokens_computed,
        prompt_tokens_cached / n AS prompt_tokens_cached,
        prm_tokens_computed / n AS prm_tokens_computed,
        prm_tokens_cached / n AS prm_tokens_cached
    FROM alone
)
SELECT
    s.task, s.policy, s.prm, s.method, s.budget, s.bucket,
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
COMMENT ON COLUMN bucket_costs.discarded_tokens IS
'Generated tokens that are in no answer, per problem and unit of budget';
COMMENT ON COLUMN bucket_costs.prompt_tokens_computed IS
'Tokens of prompts that the policy computes, per problem and unit of budget; where tokens were shared, by engine_rates';
COMMENT ON COLUMN bucket_costs.prompt_tokens_cached IS
'Tokens of prompts that the policy has in its cache, per problem and unit of budget; where tokens were shared, the rest';
COMMENT ON COLUMN bucket_costs.prm_tokens_computed IS
'Tokens that the PRM computes, per problem and unit of budget';
COMMENT ON COLUMN bucket_costs.prm_tokens_cached IS
'Tokens that the PRM has in its cache, per problem and unit of budget';
