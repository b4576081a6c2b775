-- Small policies with TTS at every N of their pools against one greedy answer of large ones, on the
-- problems that have both: one row per pair and N, with a list entry for each problem. The strategy of
-- a problem is chosen on other problems of the task (table pool_chosen). ASSUME: large are 70B and more,
-- and models of unknown size. Tokens are a problem's mean; NULL where unknown.
WITH
small AS (
    SELECT
        chosen.task,
        chosen.policy,
        chosen.budget,
        chosen.problem_id,
        chosen.accuracy,
        chosen.budget * spent.tokens AS tokens,
        spent.share_without_answer,
        spent.is_retokenised
    FROM pool_chosen AS chosen
    LEFT JOIN tokens_of_samples() AS spent
        ON
            spent.task = chosen.task
            AND spent.policy = chosen.policy
            AND spent.problem_id = chosen.problem_id
            AND spent.pool = 'evaluation'
    WHERE chosen.part = 'whole' AND chosen.problems = 'all' AND chosen.rule = 'cross_fitted'
),
prms_of AS (
    SELECT
        task,
        policy,
        any_value(prm_title) AS prm_title,
        any_value(prms.n_parameters) AS prm_n_parameters
    FROM public_outcomes() AS outcome
    INNER JOIN prms USING (prm)
    WHERE outcome.method = 'best_of_n'
    GROUP BY task, policy
    HAVING count(DISTINCT prm) = 1
)
SELECT
    small.task,
    large.task_title,
    small.policy,
    policies.title AS policy_title,
    policies.model AS policy_model,
    policies.n_parameters,
    prms_of.prm_title,
    prms_of.prm_n_parameters,
    small.budget,
    large.policy AS large_policy,
    large.policy_title AS large_title,
    large.model AS large_model,
    large.n_parameters AS large_n_parameters,
    list(small.problem_id ORDER BY small.problem_id) AS problem_ids,
    list(small.accuracy ORDER BY small.problem_id) AS value,
    list(large.accuracy ORDER BY small.problem_id) AS reference,
    list(large.has_answer ORDER BY small.problem_id) AS has_answer,
    any_value(of_tasks.problems_of_task) AS problems_of_task,
    any_value(selection.widening) AS widening,
    avg(small.share_without_answer) AS small_without_answer,
    avg((NOT large.has_answer)::INTEGER) AS large_without_answer,
    if(count(small.tokens) = count(*), avg(small.tokens), NULL) AS small_tokens,
    if(count(large.n_tokens) = count(*), avg(large.n_tokens), NULL) AS large_tokens,
    coalesce(bool_or(small.is_retokenised), false) AS is_retokenised,
    any_value(trained.parameters) AS pretraining_parameters,
    any_value(trained.training_tokens) AS training_tokens,
    any_value(large_trained.parameters) AS large_pretraining_parameters,
    any_value(large_trained.training_tokens) AS large_training_tokens,
    any_value(settings.replicates) AS replicates,
    any_value(settings.confidence) AS confidence,
    any_value(settings.seed) AS seed
FROM small
INNER JOIN policies USING (policy)
INNER JOIN prms_of USING (task, policy)
INNER JOIN public_cot() AS large USING (task, problem_id)
LEFT JOIN problems_of_tasks() AS of_tasks USING (task)
CROSS JOIN settings
LEFT JOIN pool_selection AS selection
    ON
        selection.task = small.task
        AND selection.policy = small.policy
        AND selection.budget = small.budget
        AND selection.part = 'whole'
        AND selection.problems = 'all'
        AND selection.rule = 'cross_fitted'
LEFT JOIN pretraining AS trained
    ON name_key(trained.model) = name_key(base_model(policies.model))
LEFT JOIN pretraining AS large_trained
    ON name_key(large_trained.model) = name_key(base_model(large.model))
WHERE
    policies.n_parameters < 7e10
    AND coalesce(large.n_parameters, 7e10) >= 7e10
GROUP BY
    small.task, large.task_title, small.policy, policies.title, policies.model,
    policies.n_parameters, prms_of.prm_title, prms_of.prm_n_parameters, small.budget, large.policy,
    large.policy_title, large.model, large.n_parameters
ORDER BY
    task, n_parameters, policy, large_n_parameters DESC NULLS LAST, large_title, budget;
