-- One method (or the mean of several) against another, per task, policy and PRM, at the largest
-- budget that both were run at. Majority voting takes no PRM and stands beside each.
-- Parameters: first, second (patterns of methods), prms (of titles or formats), difficulty,
-- policies, tasks, scoring, voting, scale.
WITH
pairs AS (
    FROM method_pairs(
        $scale, $scoring, $voting, $policies, $tasks, $difficulty, $first, $second
    )
    WHERE regexp_full_match(prm_title, $prms) OR regexp_full_match(prm_format, $prms)
)
FROM cases_at_largest_budget('pairs') ORDER BY case_name;
