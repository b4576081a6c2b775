-- What evidence this database holds at each scale, in one row: for the first page. public_policies
-- and public_prms are lists of what others ran: is_scaled says of a policy that more than one
-- sample of a problem was used, or a PRM, is_cot that one answer (CoT) was drawn; budget is the
-- largest N, of pools the largest that all problems but one in twenty have samples for (adopted_pools.LACKING).
WITH public_points AS (
    SELECT curves.policy, curves.prm, curves.method, curves.budget
    FROM curves INNER JOIN policies USING (policy)
    WHERE policies.origin = 'adopted' AND curves.bucket = 'all'
    QUALIFY
        curves.method NOT IN ('pass_at_k', 'majority', 'best_of_n')
        OR curves.n_problems
        >= 0.95 * max(curves.n_problems) OVER (PARTITION BY curves.task, curves.policy, curves.method)
),

public_models AS (
    SELECT
        policies.model,
        min(policies.n_parameters) AS n_parameters,
        coalesce(
            bool_or(
                public_points.method <> 'cot'
                AND (public_points.budget > 1 OR public_points.prm IS NOT NULL)
            ),
            FALSE
        ) AS is_scaled,
        coalesce(bool_or(public_points.method = 'cot'), FALSE) AS is_cot
    FROM policies LEFT JOIN public_points USING (policy)
    WHERE policies.origin = 'adopted'
    GROUP BY policies.model
),

public_scorers AS (
    SELECT prms.title, max(public_points.budget) AS budget
    FROM prms
    INNER JOIN collections USING (prm)
    LEFT JOIN public_points USING (prm)
    GROUP BY prms.title
)

SELECT
    (SELECT count(*) FROM published) AS n_printed,
    (
        SELECT count(DISTINCT item)
        FROM published
        WHERE starts_with(item, 'Figure') OR starts_with(item, 'Table')
    ) AS n_printed_items,
    own.n_policies,
    own.smallest,
    own.largest,
    is_miniature() AS is_miniature,
    (SELECT list(title ORDER BY task_rank) FROM ranked_tasks()) AS own_tasks,
    own_prms.prms AS own_prms,
    own_prms.smallest AS smallest_prm,
    own_prms.largest AS largest_prm,
    (
        -- Samples that tell difficulty are no budget of a method.
        SELECT max(budget)
        FROM cells
        WHERE status = 'stored' AND method <> 'difficulty'
    ) AS largest_budget,
    (
        SELECT list(public_models ORDER BY n_parameters NULLS LAST, model) FROM public_models
    ) AS public_policies,
    (SELECT count(*) FROM collections) AS n_collections,
    (
        SELECT list(public_scorers ORDER BY budget DESC NULLS LAST, title) FROM public_scorers
    ) AS public_prms,
    (SELECT max(budget) FROM public_points WHERE prm IS NULL) AS public_largest_budget,
    (
        SELECT list(DISTINCT tasks.title ORDER BY tasks.title)
        FROM collections INNER JOIN tasks USING (task)
    ) AS public_tasks,
    settings.confidence,
    settings.scoring,
    settings.voting
FROM settings
CROSS JOIN (
    SELECT count(*) AS n_policies, min(n_parameters) AS smallest, max(n_parameters) AS largest
    FROM policies
    WHERE origin = 'run'
) AS own
CROSS JOIN (
    SELECT
        list(title ORDER BY n_parameters, prm) AS prms,
        min(n_parameters) AS smallest,
        max(n_parameters) AS largest
    FROM prms
    WHERE prm IN (SELECT prm FROM cells)
) AS own_prms;
