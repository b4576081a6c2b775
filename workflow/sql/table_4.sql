-- Table 4: FLOPs of small policies with compute-optimal TTS and of large ones with CoT, for one task.
-- One row per policy and series (cot, compute_optimal): parameters, tokens that trained it, and over
-- all problems the tokens that were generated and read as prompts, and the products of a PRM's
-- parameters and the tokens that it computed; strategies that tie share the problems. NULL where it is not
-- known; a policy without results has one row whose series is NULL. Rows whose series is
-- 'printed' hold what the paper prints for a model, in FLOPs. Parameters: task, scoring, voting.
WITH
-- How many problems each method answers.
shares AS (
    SELECT policy, prm, method, bucket, budget, share * n_problems AS n_problems
    FROM choices
    WHERE
        task = $task
        AND rule = 'in_sample'
        AND scoring = $scoring
        AND voting = $voting
        AND NOT is_beyond(policy, budget)
    QUALIFY budget = max(budget) OVER (PARTITION BY policy)
    UNION ALL
    SELECT policy, NULL, method, bucket, budget, n_problems
    FROM curves
    WHERE task = $task AND method = 'cot' AND bucket = 'all'
),
spent AS (
    SELECT
        shares.policy,
        if(shares.method = 'cot', 'cot', 'compute_optimal') AS series,
        shares.budget,
        round(sum(shares.n_problems), 9) AS n_problems,
        -- Costs of a bucket are known for the buckets of difficulty; elsewhere those of all problems.
        if(
            count(curves.tokens) = count(*), sum(shares.n_problems * curves.tokens), NULL
        ) AS generated_tokens,
        if(
            count(curves.prm_tokens * prms.n_parameters) = count(*),
            sum(shares.n_problems * curves.prm_tokens * prms.n_parameters),
            NULL
        ) AS prm_parameter_tokens,
        if(count(bucket_costs.prompt_tokens_computed) = count(*), sum(
            shares.n_problems * shares.budget
            * (bucket_costs.generated_tokens + bucket_costs.prompt_tokens_computed)
        ), NULL) AS policy_tokens_computed,
        if(count(bucket_costs.generated_tokens * prms.n_parameters) = count(*), sum(
            shares.n_problems * shares.budget * bucket_costs.prm_tokens_computed * prms.n_parameters
        ), NULL) AS prm_parameter_tokens_computed
    FROM shares
    LEFT JOIN prms ON prms.prm = shares.prm
    LEFT JOIN curves
        ON
            curves.task = $task
            AND curves.policy = shares.policy
            AND curves.prm IS NOT DISTINCT FROM shares.prm
            AND curves.method = shares.method
            AND curves.budget = shares.budget
            AND curves.bucket = if(shares.bucket = 'unknown', 'all', shares.bucket)
            AND (
                curves.method = 'cot' OR (curves.scoring = $scoring AND curves.voting = $voting)
            )
    LEFT JOIN bucket_costs
        ON
            bucket_costs.task = $task
            AND bucket_costs.bucket = if(shares.bucket = 'unknown', 'all', shares.bucket)
            AND bucket_costs.policy = shares.policy
            AND bucket_costs.prm IS NOT DISTINCT FROM shares.prm
            AND bucket_costs.method = shares.method
            AND coalesce(bucket_costs.budget, shares.budget) = shares.budget
    GROUP BY ALL
)
SELECT
    policies.policy,
    policies.title AS policy_title,
    policies.family,
    policies.n_parameters,
    pretraining.training_tokens,
    pretraining.parameters AS pretraining_parameters,
    pretraining.active_parameters,
    spent.series,
    chosen.prm_title,
    spent.budget,
    spent.n_problems,
    spent.generated_tokens,
    spent.prm_parameter_tokens,
    spent.policy_tokens_computed,
    spent.prm_parameter_tokens_computed,
    NULL::VARCHAR AS model,
    NULL::VARCHAR AS method,
    NULL::BOOLEAN AS is_read_by_prm,
    NULL::MAP(VARCHAR, VARCHAR) AS printed
FROM policies
INNER JOIN (SELECT DISTINCT policy FROM planned() WHERE task = $task) AS shown USING (policy)
LEFT JOIN spent USING (policy)
LEFT JOIN chosen_prms($scoring, $voting) AS chosen
    ON
        chosen.task = $task
        AND chosen.policy = spent.policy
        AND chosen.budget = spent.budget
        AND spent.series = 'compute_optimal'
LEFT JOIN pretraining
    -- What others ran is a model under another name, as may be one in fewer bits.
    ON name_key(pretraining.model) IN (
        name_key(policies.title), name_key(policies.policy), name_key(base_model(policies.model))
    )
UNION ALL BY NAME
SELECT
    published.model,
    any_value(published.method) AS method,
    read_by_prm(published.model, any_value(published.method)) AS is_read_by_prm,
    any_value(pretraining.training_tokens) AS training_tokens,
    any_value(pretraining.parameters) AS pretraining_parameters,
    any_value(pretraining.active_parameters) AS active_parameters,
    'printed' AS series,
    map_from_entries(list((published.metric, published.value::VARCHAR))) AS printed,
    min(published.rowid) AS printed_rank
FROM published
LEFT JOIN pretraining ON name_key(pretraining.model) = name_key(published.model)
WHERE published.item = 'Table 4'
GROUP BY published.model
ORDER BY series = 'printed' NULLS FIRST, family, n_parameters, policy, series, printed_rank;
