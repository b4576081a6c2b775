CREATE VIEW difficulty AS
SELECT task, policy, problem_id, pass_at_1, n_samples, bucket, wrong_bucket, pool
FROM rated
WHERE pool = bucket_pool;

COMMENT ON VIEW difficulty IS
'Difficulty of each problem for each policy, by the pool that decides it';
