-- What reward models are worth on solutions of known truth (compute_optimal.analyse.reward_models): one row per
-- collection, reward model, scoring and measure. scoring: NULL for models of whole solutions (kind
-- 'outcome'). f1: what ProcessBench prints for the PRM on its subset MATH, in %. path: the file whose scores
-- these are, in the repository source at commit.
WITH
files AS (
    SELECT
        collection,
        prm,
        any_value(source) AS source,
        any_value("commit") AS "commit",
        string_agg(DISTINCT regexp_replace(member, ', row \d+$', ''), ', ') AS path
    FROM scored_solutions
    GROUP BY ALL
)
SELECT
    quality.*,
    collections.title AS collection_title,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    if(quality.scoring IS NULL, 'outcome', 'process') AS kind,
    processbench.f1,
    processbench.source AS f1_source,
    files.source,
    files."commit",
    files.path
FROM reward_model_quality AS quality
INNER JOIN collections ON collections.collection = quality.collection
INNER JOIN prms ON prms.prm = quality.prm
INNER JOIN files ON files.collection = quality.collection AND files.prm = quality.prm
LEFT JOIN processbench ON processbench.registry_prm = quality.prm AND processbench.subset = 'MATH'
ORDER BY
    quality.collection, kind DESC, prms.n_parameters, quality.prm, quality.scoring = 'prm_avg', quality.scoring DESC,
    quality.measure;
