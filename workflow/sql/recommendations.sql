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
        task, policy, prm, budget, bucket, method, share,
        if(method IN ('majority', 'best_of_n'), 0, 1) AS is_search
    FROM predicted_choices
    WHERE scoring = $scoring AND voting = $voting
),
-- Of a bucket, and of all problems by its share of them.
sizes AS (
    SELECT task, policy, prm, budget, bucket, n_problems, n_probes, accuracy, ci_low, ci_high, rule
    FROM predicted_selection
    WHERE scoring = $scoring AND voting = $voting
),
shares AS (
    SELECT 'predicted' AS rule, chosen.task, chosen.policy, chosen.prm, chosen.budget,
        chosen.bucket AS difficulty, method, share, is_search, n_probes
    FROM chosen
    INNER JOIN sizes USING (task, policy, prm, budget, bucket)
    WHERE sizes.rule = 'predicted' AND bucket <> 'all'
    UNION ALL
    SELECT 'predicted', task, policy, prm, budget, 'all', method,
        sum(share * n_problems) / any_value(total), any_value(is_search), any_value(n_probes)
    FROM chosen
    INNER JOIN sizes USING (task, policy, prm, budget, bucket)
    INNER JOIN (
        SELECT task, policy, prm, budget, sum(n_problems) AS total
        FROM sizes
        WHERE rule = 'predicted' AND bucket <> 'all'
        GROUP BY ALL
    ) USING (task, policy, prm, budget)
    WHERE sizes.rule = 'predicted' AND bucket <> 'all'
    GROUP BY task, policy, prm, budget, method
    UNION ALL
    SELECT 'one_strategy', task, policy, prm, budget, 'all', method, share, is_search, 0
    FROM chosen
    WHERE bucket = 'all'
),
-- What a problem takes that a method answers. Where its difficulty is predicted, the PRM has read the
-- probes: best-of-N needs their scores anyway and a search takes its probes in addition, but voting asks
-- the PRM for them alone.
spent AS (
    SELECT
        shares.*,
        shares.budget + is_search * n_probes AS samples,
        shares.budget * own.tokens + if(is_search * n_probes > 0, n_probes * probe.tokens, 0) AS tokens,
        shares.budget * own.flops + CASE
            WHEN n_probes = 0 OR shares.method = 'best_of_n' THEN 0
            ELSE n_probes * (probe.flops - if(is_search = 1, 0, own.flops))
        END AS flops,
        shares.budget * own.seconds + CASE
            WHEN n_probes = 0 OR shares.method = 'best_of_n' THEN 0
            ELSE n_probes * (probe.seconds - if(is_search = 1, 0, own.seconds))
        END AS seconds
    FROM shares
    LEFT JOIN unit AS own
        ON own.task = shares.task AND own.policy = shares.policy AND own.method = shares.method
        AND own.budget = shares.budget
        AND (own.prm = shares.prm OR (own.prm IS NULL AND shares.method = 'majority'))
    LEFT JOIN unit AS probe
        ON probe.task = shares.task AND probe.policy = shares.policy AND probe.prm = shares.prm
        AND probe.method = 'best_of_n' AND probe.budget = shares.budget
),
costs AS (
    SELECT
        rule, task, policy, prm, budget, difficulty,
        sum(share * samples) AS samples,
        if(count(tokens) = count(*), sum(share * tokens), NULL) AS tokens,
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
