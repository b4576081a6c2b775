-- Every strategy's accuracy at the study's budgets, for verification. Eight decimals, so that another
-- platform's last digits do not show.
SELECT
    task,
    policy,
    prm,
    method,
    scoring,
    voting,
    bucket,
    budget,
    n_problems,
    round(accuracy, 8) AS accuracy,
    round(ci_low, 8) AS ci_low,
    round(ci_high, 8) AS ci_high,
    round(monte_carlo_error, 8) AS monte_carlo_error,
    round(tokens, 4) AS tokens,
    round(prm_tokens, 4) AS prm_tokens
FROM curves
WHERE budget IN (SELECT budget FROM study_budgets)
ORDER BY ALL;
