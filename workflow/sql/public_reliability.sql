-- Reliability of PRMs on solutions of known truth: of each bin of equally many solutions the mean score and
-- the share that is right. One row per collection, PRM, scoring and bin.
SELECT
    reliability.*,
    collections.title AS collection_title,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters
FROM reward_model_reliability AS reliability
INNER JOIN collections ON collections.collection = reliability.collection
INNER JOIN prms ON prms.prm = reliability.prm
ORDER BY
    reliability.collection, prms.n_parameters, reliability.prm, reliability.scoring = 'prm_avg', reliability.scoring DESC, reliability.bin;
