-- Ways to use a model against each other, by what others ran: one row per pair, on the problems that
-- have both, with a list entry for each problem. Of a pool, best-of-N and majority stand at its largest
-- N, and beside a search at the largest that the search's N allows. Searches are means over their
-- repetitions, whose accuracies on the same problems are in run_accuracies. Tokens are a problem's mean,
-- those of discarded paths included; NULL where unknown. Parameters: scoring, voting.
WITH
entries AS (
    SELECT
        outcome.* REPLACE (if(outcome.method = 'pass_at_k', 'one_sample', outcome.method) AS method),
        CASE outcome.method
            WHEN 'cot' THEN 0
            WHEN 'pass_at_k' THEN 1
            WHEN 'majority' THEN 2
            WHEN 'best_of_n' THEN 3
            WHEN 'beam_search' THEN 5
            WHEN 'dvts' THEN 6
            ELSE 4
        END AS place,
        base_model(outcome.model) AS base,
        if(
            outcome.method IN ('cot', 'pass_at_k', 'majority', 'best_of_n'),
            outcome.budget * of_pool.tokens,
            of_search.tokens
        ) AS tokens,
        coalesce(of_pool.is_retokenised, false) AS is_retokenised
    FROM public_outcomes() AS outcome
    LEFT JOIN tokens_of_samples() AS of_pool
        ON
            of_pool.task = outcome.task
            AND of_pool.policy = outcome.policy
            AND of_pool.problem_id = outcome.problem_id
            AND of_pool.pool = if(outcome.method = 'cot', 'greedy', 'evaluation')
            AND outcome.method IN ('cot', 'pass_at_k', 'majority', 'best_of_n')
    LEFT JOIN tokens_of_searches() AS of_search
        ON
            of_search.task = outcome.task
            AND of_search.policy = outcome.policy
            AND of_search.prm = outcome.prm
            AND of_search.method = outcome.method
            AND of_search.budget = outcome.budget
            AND of_search.problem_id = outcome.problem_id
    WHERE
        outcome.part = 'whole'
        AND (
            outcome.method IN ('cot', 'majority')
            OR (outcome.method = 'pass_at_k' AND outcome.budget = 1)
            OR (outcome.scoring = $scoring AND outcome.voting = $voting)
        )
        AND (outcome.budget > 1 OR outcome.method NOT IN ('majority', 'best_of_n'))
),
pool_budgets AS (
    SELECT task, policy, list(DISTINCT budget) AS budgets
    FROM entries
    WHERE method IN ('majority', 'best_of_n')
    GROUP BY task, policy
),
-- Of the collections of a model, the one with the most problems gives its greedy answers.
cot_of AS (
    SELECT task, base, policy
    FROM entries
    WHERE method = 'cot'
    GROUP BY task, base, policy
    QUALIFY row_number() OVER (PARTITION BY task, base ORDER BY count(*) DESC, policy) = 1
),
of_runs AS (
    SELECT task, policy, prm, method, budget, part, problem_id, accuracy
    FROM pool_outcomes
    WHERE part LIKE 'run %' AND scoring = $scoring AND voting = $voting
),
pairs AS (
    SELECT
        value_of.task,
        value_of.task_title,
        value_of.base,
        value_of.n_parameters,
        value_of.policy,
        value_of.policy_title,
        value_of.weights,
        variants.variant,
        value_of.method,
        value_of.prm,
        value_of.prm_title,
        value_of.budget,
        value_of.place,
        other.policy AS other_policy,
        other.policy_title AS other_title,
        other.weights AS other_weights,
        other_variants.variant AS other_variant,
        other.method AS other_method,
        other.prm_title AS other_prm_title,
        other.budget AS other_budget,
        other.place AS other_place,
        list(value_of.problem_id ORDER BY value_of.problem_id) AS problem_ids,
        list(value_of.accuracy ORDER BY value_of.problem_id) AS value,
        list(other.accuracy ORDER BY value_of.problem_id) AS reference,
        if(count(value_of.tokens) = count(*), avg(value_of.tokens), NULL) AS tokens,
        if(count(other.tokens) = count(*), avg(other.tokens), NULL) AS other_tokens,
        bool_or(value_of.is_retokenised) AS is_retokenised,
        bool_or(other.is_retokenised) AS other_is_retokenised
    FROM entries AS value_of
    INNER JOIN entries AS other
        ON
            other.task = value_of.task
            AND other.base = value_of.base
            AND other.problem_id = value_of.problem_id
    LEFT JOIN pool_budgets AS pool
        ON pool.task = value_of.task AND pool.policy = value_of.policy
    LEFT JOIN collections AS variants ON variants.collection = value_of.collection
    LEFT JOIN collections AS other_variants ON other_variants.collection = other.collection
    LEFT JOIN cot_of ON cot_of.task = value_of.task AND cot_of.base = value_of.base
    WHERE
        (value_of.method NOT IN ('majority', 'best_of_n') OR value_of.budget = list_max(pool.budgets))
        AND (value_of.method <> 'cot')
        AND CASE
            WHEN other.method = 'cot' THEN other.policy = cot_of.policy
            WHEN other.method = 'one_sample'
                THEN other.policy = value_of.policy AND other.place < value_of.place
            WHEN other.method IN ('majority', 'best_of_n')
                THEN
                    other.policy = value_of.policy
                    AND other.place < value_of.place
                    AND other.budget = list_max(
                        list_filter(pool.budgets, lambda n : n <= value_of.budget)
                    )
            ELSE
                value_of.place >= 4
                AND other.weights IS NOT DISTINCT FROM value_of.weights
                AND (other.place, other.budget, other.prm, other.policy)
                < (value_of.place, value_of.budget, value_of.prm, value_of.policy)
        END
    GROUP BY ALL
)
SELECT
    pairs.* EXCLUDE (prm),
    of_tasks.problems_of_task,
    (
        SELECT list(accuracy ORDER BY part)
        FROM (
            SELECT of_runs.part, avg(of_runs.accuracy) AS accuracy
            FROM of_runs
            WHERE
                of_runs.task = pairs.task
                AND of_runs.policy = pairs.policy
                AND of_runs.prm = pairs.prm
                AND of_runs.method = pairs.method
                AND of_runs.budget = pairs.budget
                AND list_contains(pairs.problem_ids, of_runs.problem_id)
            GROUP BY of_runs.part
        )
    ) AS run_accuracies,
    settings.replicates,
    settings.confidence,
    settings.seed
FROM pairs
LEFT JOIN problems_of_tasks() AS of_tasks USING (task)
CROSS JOIN settings
WHERE len(problem_ids) >= 10
ORDER BY task, base, policy_title, place, budget, prm_title, other_place, other_title, other_budget;
