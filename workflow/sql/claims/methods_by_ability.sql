-- One method (or the mean of several) against another with strong or with weak PRMs, by their ability
-- to find wrong steps on the task: as the query methods. A PRM is strong if its F1 is above the boundary
-- of the paper's own strong and weak ones (strong_from). Each case names the F1.
-- Parameters: ability (strong or weak), first, second (patterns of methods), difficulty, policies,
-- tasks, scoring, voting, scale.
WITH
pairs AS (
    SELECT
        pairs.* REPLACE (format('{} (F1 {})', prm_title, one_decimal(abilities.ability)) AS prm_title)
    FROM method_pairs(
        $scale, $scoring, $voting, $policies, $tasks, $difficulty, $first, $second
    ) AS pairs
    INNER JOIN abilities() AS abilities USING (task, prm)
    -- Where the boundary is not known, neither holds.
    WHERE (abilities.ability > strong_from()) = ($ability = 'strong')
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
