-- What each PRM gains, over its ability: one row per policy (NULL: the mean over those that ran with every
-- PRM), method, difficulty, comparison and PRM, at the largest of the budgets that most PRMs have. Gains
-- and their intervals in points, abilities in %. f1_threshold, _low, _high, _least, _most, and of discrimination: where the
-- gains of these PRMs begin (table prm_thresholds); NULL for fewer than three PRMs.
-- fewest: the study's smallest budget, which rows of that comparison are against.
-- Parameters: task, scoring, voting.
WITH
gains AS (
    FROM prm_gains WHERE task = $task AND scoring = $scoring AND voting = $voting
),
budgets AS (
    SELECT policy, method, against, budget
    FROM gains
    WHERE bucket = 'all'
    GROUP BY policy, method, against, budget
    QUALIFY
        row_number() OVER (
            PARTITION BY policy, method, against
            ORDER BY count(*) FILTER (f1 IS NOT NULL) DESC, budget DESC
        ) = 1
),
begins AS (
    SELECT
        policy,
        method,
        against,
        budget,
        bucket,
        any_value(threshold) FILTER (ability = 'f1') AS f1_threshold,
        any_value(ci_low) FILTER (ability = 'f1') AS f1_low,
        any_value(ci_high) FILTER (ability = 'f1') AS f1_high,
        any_value(least) FILTER (ability = 'f1') AS f1_least,
        any_value(most) FILTER (ability = 'f1') AS f1_most,
        any_value(threshold) FILTER (ability = 'discrimination') AS discrimination_threshold,
        any_value(ci_low) FILTER (ability = 'discrimination') AS discrimination_low,
        any_value(ci_high) FILTER (ability = 'discrimination') AS discrimination_high,
        any_value(least) FILTER (ability = 'discrimination') AS discrimination_least,
        any_value(most) FILTER (ability = 'discrimination') AS discrimination_most
    FROM prm_thresholds
    WHERE task = $task AND scoring = $scoring AND voting = $voting
    GROUP BY ALL
)
SELECT
    gains.policy,
    policies.title AS policy_title,
    policies.n_parameters,
    places.policy_place,
    places.n_places,
    gains.method,
    gains.budget,
    gains.bucket,
    gains.against,
    (SELECT min(budget) FROM study_budgets WHERE budget > 1) AS fewest,
    gains.prm,
    prms.title AS prm_title,
    prms.n_parameters AS prm_n_parameters,
    gains.f1,
    gains.discrimination,
    gains.gain,
    gains.ci_low,
    gains.ci_high,
    gains.n_problems,
    gains.n_policies,
    begins.* EXCLUDE (policy, method, against, budget, bucket)
FROM gains
INNER JOIN budgets
    ON
        budgets.policy IS NOT DISTINCT FROM gains.policy
        AND budgets.method = gains.method
        AND budgets.against = gains.against
        AND budgets.budget = gains.budget
INNER JOIN prms ON prms.prm = gains.prm
LEFT JOIN policies ON policies.policy = gains.policy
LEFT JOIN policy_places() AS places ON places.policy = gains.policy
LEFT JOIN begins
    ON
        begins.policy IS NOT DISTINCT FROM gains.policy
        AND begins.method = gains.method
        AND begins.against = gains.against
        AND begins.budget = gains.budget
        AND begins.bucket = gains.bucket
ORDER BY
    gains.policy IS NOT NULL,
    policies.family,
    policies.n_parameters,
    gains.policy,
    list_position(['all', 'easy', 'medium', 'hard'], gains.bucket),
    list_position(['best_of_n', 'beam_search', 'dvts', 'compute_optimal'], gains.method),
    gains.against DESC,
    gains.f1,
    gains.prm;
