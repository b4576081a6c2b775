-- How often PRMs fail, against the exact check of the steps: one row per PRM, policy and measure (see
-- compute_optimal.analyse.prm_ability). policy is NULL for all policies together; a PRM that has not been
-- measured has one row without a measure. PRMs by ability, the ablest last. Parameters: task.
SELECT
    prms.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    abilities.ability AS prm_ability,
    policies.policy,
    policies.title AS policy_title,
    places.policy_place,
    places.n_places,
    rates.measure,
    rates.value,
    rates.ci_low,
    rates.ci_high,
    rates.n,
    rates.n_problems
FROM prms
SEMI JOIN (SELECT prm FROM planned() WHERE task = $task) AS shown ON shown.prm = prms.prm
LEFT JOIN (FROM abilities() WHERE task = $task) AS abilities USING (prm)
LEFT JOIN (SELECT * FROM prm_rates WHERE task = $task) AS rates ON rates.prm = prms.prm
LEFT JOIN policies ON policies.policy = rates.policy
LEFT JOIN policy_places() AS places ON places.policy = rates.policy
ORDER BY
    prm_ability NULLS LAST, prms.n_parameters, prms.prm, policies.policy IS NOT NULL, policies.family,
    policies.n_parameters, policies.policy, rates.measure;
