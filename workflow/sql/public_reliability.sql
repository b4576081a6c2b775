-- Reliability of PRMs on solutions of known truth: of each bin of equally many solutions the mean score and
-- the share that is right. One row per collection, PRM, scoring and bin.
SELECT
    found.*,
    collections.title AS collection_title,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters
FROM reward_model_reliability AS found
INNER JOIN collections ON collections.collection = found.collection
INNER JOIN prms ON prms.prm = found.prm
ORDER BY
    found.collection, prms.n_parameters, found.prm, found.scoring = 'prm_avg', found.scoring DESC, found.bin;
