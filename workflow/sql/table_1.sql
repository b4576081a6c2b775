-- Table 1: tokens per response and step, of what the RLHFlow PRMs were trained on as the paper prints
-- it, and in this study of the samples that each PRM scored and of those it picked.
-- One row per policy and PRM: tokens and steps of an average sample (of_sample) and of the one that
-- best-of-N picks at the largest budget (of_pick). NULL where nothing was scored. Rows without a policy
-- hold what the paper prints (per_response, per_step) for a PRM, with its title. Parameters: task,
-- scoring.
WITH
ends AS (
    SELECT policy, prm, max(budget) AS budget
    FROM picks WHERE task = $task AND scoring = $scoring
    GROUP BY ALL
),
picked AS (
    SELECT
        picks.policy,
        picks.prm,
        any_value(ends.budget) AS budget,
        max(picks.value) FILTER (measure = 'tokens' AND picks.budget = 1) AS tokens_of_sample,
        max(picks.ci_low) FILTER (measure = 'tokens' AND picks.budget = 1) AS tokens_of_sample_low,
        max(picks.ci_high) FILTER (measure = 'tokens' AND picks.budget = 1) AS tokens_of_sample_high,
        max(picks.value) FILTER (measure = 'tokens' AND picks.budget = ends.budget) AS tokens_of_pick,
        max(picks.ci_low) FILTER (measure = 'tokens' AND picks.budget = ends.budget) AS tokens_of_pick_low,
        max(picks.ci_high) FILTER (measure = 'tokens' AND picks.budget = ends.budget) AS tokens_of_pick_high,
        max(picks.value) FILTER (measure = 'steps' AND picks.budget = 1) AS steps_of_sample,
        max(picks.value) FILTER (measure = 'steps' AND picks.budget = ends.budget) AS steps_of_pick
    FROM picks INNER JOIN ends USING (policy, prm)
    WHERE picks.task = $task AND picks.scoring = $scoring
    GROUP BY ALL
)
SELECT *, NULL::VARCHAR AS per_response, NULL::VARCHAR AS per_step
FROM pairs($task) AS pairs
LEFT JOIN picked USING (policy, prm)
UNION ALL BY NAME
SELECT
    published.prm,
    any_value(published.prm) AS prm_title,
    max(published.value::VARCHAR) FILTER (published.metric LIKE '%per_response') AS per_response,
    max(published.value::VARCHAR) FILTER (published.metric LIKE '%per_step') AS per_step
FROM published
WHERE published.item = 'Table 1'
GROUP BY published.prm
ORDER BY policy IS NULL, family, n_parameters, policy, prm_n_parameters, prm;
