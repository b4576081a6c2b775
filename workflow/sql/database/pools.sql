CREATE VIEW pools AS
SELECT
    task, policy, pool, problem_id, sample_index, answer, answer_class, correct, official_correct,
    plain_correct, status, n_tokens, finish_reason
FROM answers
WHERE pool IS NOT NULL;

COMMENT ON VIEW pools IS 'Graded samples, one a row: the answers that are no search''s';
