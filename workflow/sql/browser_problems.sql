-- Problems of every task and policy as the rollout browser takes them, each with the kinds of event that
-- are seen on it with this policy (at the largest budget, under the study's scoring and voting):
--   majority_beats_prm: majority voting is right and best-of-N with some PRM is wrong;
--   prm_beats_majority: the other way round;
--   pruned: a search had a right path and pruned it;
--   prms_disagree: best-of-N is right with one PRM and wrong with another;
--   fooled: a right answer is among the samples, and every PRM picks a wrong one.
-- Right means more than half of the time, over subsets of the pool. place: of each kind, first those seen
-- with the most policies, so that a task shows the same problems for all of its policies; what has no
-- kind is taken by difficulty.
WITH
largest AS (
    SELECT o.task, o.policy, o.problem_id, o.prm, o.method, o.accuracy > 0.5 AS is_right
    FROM outcomes AS o
    CROSS JOIN settings AS s
    WHERE
        o.method IN ('majority', 'pass_at_k')
        OR (o.method = 'best_of_n' AND o.scoring = s.scoring AND o.voting = s.voting)
    QUALIFY o.budget = max(o.budget) OVER (PARTITION BY o.task, o.policy, o.prm, o.method)
),
votes AS (
    SELECT
        task, policy, problem_id,
        bool_or(is_right) FILTER (method = 'majority') AS majority,
        bool_or(is_right) FILTER (method = 'pass_at_k') AS possible,
        bool_or(is_right) FILTER (method = 'best_of_n') AS some_prm,
        bool_and(is_right) FILTER (method = 'best_of_n') AS every_prm
    FROM largest
    GROUP BY ALL
),
searched AS (
    SELECT task, policy, problem_id, outcome
    FROM pruning
    QUALIFY budget = max(budget) OVER (PARTITION BY task, policy, prm, method)
),
kinds AS (
    SELECT task, policy, problem_id, 'majority_beats_prm' AS kind
    FROM votes WHERE majority AND NOT every_prm
    UNION ALL
    SELECT task, policy, problem_id, 'prm_beats_majority' FROM votes WHERE NOT majority AND some_prm
    UNION ALL
    SELECT task, policy, problem_id, 'prms_disagree' FROM votes WHERE some_prm AND NOT every_prm
    UNION ALL
    SELECT task, policy, problem_id, 'fooled' FROM votes WHERE possible AND NOT some_prm
    UNION ALL
    SELECT DISTINCT task, policy, problem_id, 'pruned' FROM searched WHERE outcome = 'pruned'
),
-- What the page has answers of (query browser_answers): of one greedy answer there is nothing to look at.
shown AS (
    SELECT DISTINCT task, policy, problem_id FROM answers WHERE pool = 'evaluation' OR method IS NOT NULL
),
groups AS (
    SELECT
        shown.task, shown.problem_id,
        coalesce(kinds.kind, coalesce(difficulty.bucket, 'unknown')) AS shown_as,
        count(*) AS n_policies,
        kinds.kind IS NULL AS is_plain
    FROM shown
    LEFT JOIN kinds USING (task, policy, problem_id)
    LEFT JOIN difficulty USING (task, policy, problem_id)
    GROUP BY ALL
),
ranked AS (
    SELECT
        task, problem_id,
        row_number() OVER (
            PARTITION BY task, is_plain, shown_as ORDER BY n_policies DESC, problem_id
        ) AS rank
    FROM groups
),
places AS (SELECT task, problem_id, min(rank) AS place FROM ranked GROUP BY ALL),
of_problem AS (
    SELECT task, policy, problem_id, list(kind ORDER BY kind) AS kinds FROM kinds GROUP BY ALL
)
SELECT
    shown.task,
    tasks.title AS task_title,
    shown.policy,
    policies.title AS policy_title,
    policies.origin,
    policies.collection,
    coalesce(difficulty.bucket, 'unknown') AS bucket,
    shown.problem_id,
    problems.problem_hash,
    problems.answer AS gold,
    difficulty.pass_at_1,
    difficulty.n_samples,
    coalesce(of_problem.kinds, []) AS kinds,
    places.place
FROM shown
INNER JOIN places USING (task, problem_id)
INNER JOIN problems USING (task, problem_id)
INNER JOIN tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN difficulty USING (task, policy, problem_id)
LEFT JOIN of_problem USING (task, policy, problem_id)
ORDER BY
    -- What the study ran first: adopted rollouts have no texts to show.
    policies.origin = 'adopted', shown.task, policies.family, policies.n_parameters, shown.policy,
    shown.problem_id;
