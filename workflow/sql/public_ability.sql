-- How well PRMs tell right real solutions from wrong ones (discrimination, a fraction), beside the F1 that
-- ProcessBench prints for them on its subset MATH (in %; NULL where it prints none). One row per set of
-- solutions and PRM: the solutions of a collection of known truth, and the samples of each adopted policy
-- (policy_title; else NULL). Parameters: scoring.
WITH
discriminations AS (
    SELECT task, collection, prm, NULL AS policy, value, ci_low, ci_high, n_problems
    FROM reward_model_quality
    WHERE measure = 'discrimination' AND scoring = $scoring
    UNION ALL
    SELECT task, policies.collection, prm, policy, value, ci_low, ci_high, score_quality.n_problems
    FROM score_quality
    INNER JOIN policies USING (policy)
    WHERE measure = 'discrimination' AND scoring = $scoring AND policies.origin = 'adopted'
)
SELECT
    tasks.title AS task_title,
    discriminations.collection,
    collections.title AS collection_title,
    discriminations.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    processbench.f1,
    processbench.source AS f1_source,
    discriminations.value,
    discriminations.ci_low,
    discriminations.ci_high,
    discriminations.n_problems
FROM discriminations
INNER JOIN tasks ON tasks.task = discriminations.task
INNER JOIN collections ON collections.collection = discriminations.collection
INNER JOIN prms ON prms.prm = discriminations.prm
LEFT JOIN policies ON policies.policy = discriminations.policy
LEFT JOIN processbench ON processbench.registry_prm = prms.prm AND processbench.subset = 'MATH'
ORDER BY
    discriminations.policy IS NOT NULL, tasks.task, prms.n_parameters, prms.prm, policies.n_parameters, discriminations.policy;
