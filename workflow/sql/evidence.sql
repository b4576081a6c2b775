-- What evidence this database holds at each scale, in one row: for the first page. is_miniature: all
-- policies that the study runs itself have fewer than ten million parameters.
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
    coalesce(own.largest < 1e7, FALSE) AS is_miniature,
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
    adopted.policies AS public_policies,
    (SELECT count(*) FROM collections) AS n_collections,
    (
        SELECT list(DISTINCT prms.title ORDER BY prms.title)
        FROM collections INNER JOIN prms USING (prm)
    ) AS public_prms,
    (
        SELECT max(budget) FROM curves
        WHERE policy IN (SELECT policy FROM policies WHERE origin = 'adopted')
    ) AS public_largest_budget,
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
) AS own_prms
CROSS JOIN (
    SELECT list(DISTINCT policies.model ORDER BY policies.model) AS policies
    FROM policies
    WHERE origin = 'adopted'
) AS adopted;
