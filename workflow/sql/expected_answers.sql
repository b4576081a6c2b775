-- What grading found, for verification: one row per pool or search of every policy.
SELECT
    task,
    policy,
    pool,
    prm,
    method,
    budget,
    count(*) AS n_answers,
    count(DISTINCT problem_id) AS n_problems,
    count(*) FILTER (correct) AS n_correct,
    count(*) FILTER (status = 'no_answer') AS n_without_answer,
    count(*) FILTER (status = 'timeout') AS n_timeouts,
    count(DISTINCT (problem_id, answer_class)) AS n_answer_classes,
    sum(n_tokens)::BIGINT AS n_tokens
FROM answers
GROUP BY ALL
ORDER BY ALL;
