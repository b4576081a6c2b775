CREATE VIEW pass_at_1 AS
SELECT task, policy, pool, problem_id, n_samples, n_correct, pass_at_1
FROM rated;

COMMENT ON VIEW pass_at_1 IS 'Pass@1 of each problem by each pool of samples';
