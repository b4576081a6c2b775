-- Measured rows have a task and, unless they are over all policies, a policy; published ones have
-- neither. Figure 6 of the paper is about MATH.
CREATE VIEW prm_ability AS
SELECT
    prm, 100 * value AS ability, 100 * ci_low AS ci_low, 100 * ci_high AS ci_high,
    'exact check of the steps' AS source, task, policy
FROM prm_rates
WHERE measure = 'f1'
UNION ALL
SELECT registry_prm, f1, NULL, NULL, 'ProcessBench ' || subset, NULL, NULL
FROM processbench
WHERE subset = 'MATH';

COMMENT ON VIEW prm_ability IS 'Ability of each PRM to find the first error, measured or published';
COMMENT ON COLUMN prm_ability.prm IS 'PRM; null where a published one is not in the registry';
COMMENT ON COLUMN prm_ability.ability IS 'F1 of finding the first wrong step, in percent';
COMMENT ON COLUMN prm_ability.ci_low IS 'Lower end of the interval of ability, in percent';
COMMENT ON COLUMN prm_ability.ci_high IS 'Upper end of the interval of ability, in percent';
COMMENT ON COLUMN prm_ability.source IS 'What decided which step is wrong';
COMMENT ON COLUMN prm_ability.task IS 'Task; null where the ability is published';
COMMENT ON COLUMN prm_ability.policy IS
'Policy whose solutions were read; null for all together and where the ability is published';
