CREATE VIEW curves AS
SELECT
    c.*,
    c.budget * r.prm_tokens_computed AS prm_tokens,
    c.budget * r.seconds AS seconds
FROM curve_points c
LEFT JOIN bucket_costs r
    ON r.task = c.task AND r.policy = c.policy AND r.bucket = c.bucket AND r.prm IS NOT DISTINCT FROM c.prm
    AND r.method = c.method AND coalesce(r.budget, c.budget) = c.budget;

COMMENT ON VIEW curves IS
'Accuracy of each strategy by budget (of a pool: powers of two, the study''s, the whole), with what it costs on its own';
COMMENT ON COLUMN curves.prm_tokens IS
'Tokens that the PRM computes per problem, without what its cache holds; null where none does';
COMMENT ON COLUMN curves.seconds IS
'Wall time of the engines per problem, in seconds; where tokens were shared, by engine_rates';
