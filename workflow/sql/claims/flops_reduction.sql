-- Total FLOPs of each pair of Table 4 (a small policy with TTS and the large one below it) as a
-- ratio, against both ends of the range that the text states.
WITH
totals AS (
    SELECT *, row_number() OVER (PARTITION BY method ORDER BY number) AS pair
    FROM printed_numbers()
    WHERE item = 'Table 4' AND metric = 'total_FLOPS'
),
ratios AS (
    SELECT large.model || ' / ' || small.model AS pair_name, large.number / small.number AS ratio
    FROM totals AS small
    INNER JOIN totals AS large USING (pair)
    WHERE small.method <> 'CoT' AND large.method = 'CoT'
),
range AS (
    SELECT
        try_cast(split_part(value::VARCHAR, '-', 1) AS DOUBLE) AS low,
        try_cast(split_part(value::VARCHAR, '-', 2) AS DOUBLE) AS high
    FROM published
    WHERE metric = 'total_FLOPS_reduction'
)
SELECT pair_name || ': at least ' || low::INTEGER AS case_name, ratio AS value, low AS reference
FROM ratios CROSS JOIN range
UNION ALL
SELECT pair_name || ': at most ' || high::INTEGER, high, ratio FROM ratios CROSS JOIN range
ORDER BY case_name;
