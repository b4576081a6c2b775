-- What a practitioner can choose from: ways to use a policy, each with an accuracy that was not measured on
-- the problems that chose it, and with what it costs per problem in samples (units of N), tokens that the
-- policy generates, FLOPs (2 per parameter and token, those that the PRM computes too) and seconds of the engines
-- (NULL where not known). One row per task, policy, PRM, way, budget and difficulty (all, or predicted:
-- easy, medium, hard). methods: what the way answers with, by share of the problems.
-- Parameters: scoring, voting.
WITH
-- Cost of one unit of N.
unit AS (
    SELECT
        curves.task,
        curves.policy,
        curves.prm,
        curves.method,
        curves.budget,
        curves.tokens / curves.budget AS tokens,
        (
            2 * policies.n_parameters * curves.tokens
            + if(
                curves.prm IS NULL, 0, 2 * prms.n_parameters * curves.prm_tokens
            )
        ) / curves.budget AS flops,
        curves.seconds / curves.budget AS seconds
    FROM curves
    INNER JOIN policies USING (policy)
    LEFT JOIN prms USING (prm)
    WHERE
        curves.bucket = 'all'
        AND (
            curves.method IN ('cot', 'majority')
            OR (curves.scoring = $scoring AND curves.voting = $voting)
        )
),
chosen AS (
    SELECT
        rule, task, policy, prm, budget, bucket AS difficulty, method, share, tokens, probe_tokens,
        if(method IN ('majority', 'best_of_n'), 0, 1) AS is_search
    FROM predicted_choices
    WHERE
        scoring = $scoring AND voting = $voting
        AND (rule = 'predicted' OR (rule = 'one_strategy' AND bucket = 'all'))
),
sizes AS (
    SELECT task, policy, prm, budget, bucket, n_problems, n_probes, accuracy, ci_low, ci_high, rule
    FROM predicted_selection
    WHERE scoring = $scoring AND voting = $voting
),
-- What a problem takes that a method answers: of the problems that are given it, hard ones take more tokens.
-- FLOPs and seconds go by the tokens. Where its difficulty is predicted, the PRM has read the probes:
-- best-of-N needs their scores anyway and a search takes its probes in addition, but voting asks the PRM for
-- them alone.
spent AS (
    SELECT
        chosen.*,
        chosen.budget + is_search * n_probes AS samples,
        chosen.tokens + if(is_search * n_probes > 0, probe_tokens, 0) AS all_tokens,
        chosen.tokens * own.flops / own.tokens + CASE
            WHEN n_probes = 0 OR chosen.method = 'best_of_n' THEN 0
            ELSE probe_tokens * (probe.flops / probe.tokens - if(is_search = 1, 0, own.flops / own.tokens))
        END AS flops,
        chosen.tokens * own.seconds / own.tokens + CASE
            WHEN n_probes = 0 OR chosen.method = 'best_of_n' THEN 0
            ELSE probe_tokens * (probe.seconds / probe.tokens - if(is_search = 1, 0, own.seconds / own.tokens))
        END AS seconds
    FROM chosen
    INNER JOIN sizes
        ON sizes.task = chosen.task AND sizes.policy = chosen.policy AND sizes.prm = chosen.prm
        AND sizes.budget = chosen.budget AND sizes.rule = chosen.rule AND sizes.bucket = chosen.difficulty
    LEFT JOIN unit AS own
        ON own.task = chosen.task AND own.policy = chosen.policy AND own.method = chosen.method
        AND own.budget = chosen.budget
        AND (own.prm = chosen.prm OR (own.prm IS NULL AND chosen.method = 'majority'))
    LEFT JOIN unit AS probe
        ON probe.task = chosen.task AND probe.policy = chosen.policy AND probe.prm = chosen.prm
        AND probe.method = 'best_of_n' AND probe.budget = chosen.budget
),
costs AS (
    SELECT
        rule, task, policy, prm, budget, difficulty,
        sum(share * samples) AS samples,
        if(count(all_tokens) = count(*), sum(share * all_tokens), NULL) AS tokens,
        if(count(flops) = count(*), sum(share * flops), NULL) AS flops,
        if(count(seconds) = count(*), sum(share * seconds), NULL) AS seconds,
        map_from_entries(list((method, share) ORDER BY share DESC, method)) AS methods
    FROM spent
    GROUP BY rule, task, policy, prm, budget, difficulty
),
ways AS (
    SELECT
        costs.task, costs.policy, costs.prm, costs.rule AS way, costs.budget, costs.difficulty,
        sizes.accuracy, sizes.ci_low, sizes.ci_high, costs.samples, costs.tokens, costs.flops,
        costs.seconds, costs.methods, sizes.n_problems
    FROM costs
    INNER JOIN sizes
        ON sizes.task = costs.task AND sizes.policy = costs.policy AND sizes.prm = costs.prm
        AND sizes.budget = costs.budget AND sizes.rule = costs.rule
        AND sizes.bucket = costs.difficulty
    UNION ALL
    -- One way that nobody chose: nothing to be optimistic about.
    SELECT
        curves.task, curves.policy, NULL, curves.method, curves.budget, 'all', curves.accuracy,
        curves.ci_low, curves.ci_high, curves.budget, curves.tokens, unit.flops * curves.budget,
        curves.seconds, map([curves.method], [1.0]), curves.n_problems
    FROM curves
    LEFT JOIN unit
        ON unit.task = curves.task AND unit.policy = curves.policy AND unit.method = curves.method
        AND unit.budget = curves.budget
    WHERE
        curves.bucket = 'all'
        AND (
            curves.method = 'cot'
            OR (
                curves.method = 'majority'
                AND curves.budget IN (SELECT budget FROM outcomes WHERE method = 'majority')
            )
        )
    UNION ALL
    -- Problems that take many samples take long ones. FLOPs and seconds go by the tokens.
    SELECT
        adaptive.task, adaptive.policy, adaptive.prm, adaptive.method || ' ' || adaptive.rule,
        adaptive.budget, 'all', adaptive.accuracy, adaptive.ci_low, adaptive.ci_high,
        adaptive.samples, adaptive.tokens, unit.flops * adaptive.tokens / unit.tokens,
        unit.seconds * adaptive.tokens / unit.tokens, map([adaptive.method], [1.0]), adaptive.n_problems
    FROM adaptive
    LEFT JOIN unit
        ON unit.task = adaptive.task AND unit.policy = adaptive.policy
        AND unit.prm IS NOT DISTINCT FROM adaptive.prm AND unit.method = adaptive.method
        AND unit.budget = adaptive.budget
    WHERE adaptive.rule <> 'fixed' AND (adaptive.scoring IS NULL OR adaptive.scoring = $scoring)
)
SELECT
    tasks.title AS task_title,
    policies.title AS policy_title,
    policies.origin,
    prms.title AS prm_title,
    ways.*
FROM ways
INNER JOIN tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
ORDER BY
    task_title, policies.family, policies.n_parameters, policy_title, prm_title NULLS FIRST,
    difficulty, way, budget;
