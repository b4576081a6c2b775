-- Seconds per token of each cell, by which what it shared is given back to it.
--
-- Engines' seconds are of the tokens that were computed for a cell, and searches with several PRMs draw in
-- common: the first of them took nearly all of the policy's seconds, the others a few tokens in batches of
-- their own. So the policy's rate is a cell's own where it drew a tenth or more of its tokens, else that of
-- all cells with the same method and budget, if these drew as much. The PRM's is a cell's own. Seconds
-- beside the engines go by the tokens of both, in the same way as the policy's. So do the tokens of prompts
-- that the policy computes: those of draws that others had made count as read from the cache.
CREATE TABLE engine_rates AS
WITH counted AS (
    SELECT
        task, policy, prm, method, budget,
        sum(generated_tokens) AS generated,
        sum(generated_tokens - shared_tokens) AS drawn,
        sum(prm_tokens_computed) AS scored,
        sum(prm_tokens_computed - prm_tokens_shared) AS read,
        sum(prompt_tokens_computed) AS prompts,
        sum(policy_seconds) AS policy_seconds,
        sum(prm_seconds) AS prm_seconds,
        sum(seconds - policy_seconds - prm_seconds) AS other_seconds
    FROM ledger
    GROUP BY task, policy, prm, method, budget
),
summed AS (
    SELECT
        *,
        sum(drawn) OVER alike AS drawn_by_all,
        sum(policy_seconds) OVER alike AS policy_seconds_of_all,
        sum(prompts) OVER alike AS prompts_of_all,
        sum(drawn + read) OVER alike AS computed_by_all,
        sum(other_seconds) OVER alike AS other_seconds_of_all
    FROM counted
    WINDOW alike AS (PARTITION BY task, policy, method, budget)
)
SELECT
    task, policy, prm, method, budget,
    generated + scored > drawn + read AS is_shared,
    CASE
        WHEN generated = 0 THEN 0
        WHEN 10 * drawn >= generated THEN policy_seconds / drawn
        WHEN 10 * drawn_by_all >= generated THEN policy_seconds_of_all / drawn_by_all
    END AS policy_rate,
    CASE
        WHEN generated = 0 THEN 0
        WHEN 10 * drawn >= generated THEN prompts / drawn
        WHEN 10 * drawn_by_all >= generated THEN prompts_of_all / drawn_by_all
    END AS prompt_rate,
    CASE WHEN scored = 0 THEN 0 WHEN read > 0 THEN prm_seconds / read END AS prm_rate,
    CASE
        WHEN generated + scored = 0 THEN 0
        WHEN 10 * (drawn + read) >= generated + scored THEN other_seconds / (drawn + read)
        WHEN 10 * computed_by_all >= generated + scored THEN other_seconds_of_all / computed_by_all
    END AS other_rate
FROM summed;

COMMENT ON TABLE engine_rates IS
'Seconds per token of each cell''s engines, and tokens of prompts per token that is generated';
COMMENT ON COLUMN engine_rates.budget IS 'Budget N that the rates are of; null where they hold for all';
COMMENT ON COLUMN engine_rates.is_shared IS 'Whether any of its tokens were computed for another cell';
COMMENT ON COLUMN engine_rates.policy_rate IS
'Seconds of the policy per token that it generates; null where too few were drawn to say';
COMMENT ON COLUMN engine_rates.prompt_rate IS
'Tokens of prompts that the policy computes per token that it generates; null where too few were drawn to say';
COMMENT ON COLUMN engine_rates.prm_rate IS
'Seconds of the PRM per token that it computes; null where it computed none';
COMMENT ON COLUMN engine_rates.other_rate IS
'Seconds beside both engines per token of either; null where too few were computed to say';
