-- Table 1: tokens of an average response and step that one RLHFlow PRM was trained on against the other's.
-- Parameters: more, fewer (titles of the PRMs).
SELECT
    CASE one.metric
        WHEN 'avg_tokens_per_response' THEN 'tokens per response'
        WHEN 'avg_tokens_per_step' THEN 'tokens per step'
    END AS case_name,
    one.number AS value,
    other.number AS reference
FROM printed_numbers() AS one
INNER JOIN printed_numbers() AS other USING (item, metric)
WHERE item = 'Table 1' AND one.prm = $more AND other.prm = $fewer
ORDER BY case_name;
