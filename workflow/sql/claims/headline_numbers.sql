-- Numbers of the abstract and the text against the tables that they sum up.
SELECT
    'gain over CoT (%): text against Table 5' AS case_name,
    text.number AS value,
    cells.number AS reference
FROM printed_numbers() AS text
INNER JOIN printed_numbers() AS cells USING (model)
WHERE text.metric = 'gain_over_CoT' AND cells.metric = 'performance_gain_over_CoT'
UNION ALL
SELECT 'efficiency over majority voting (x): text against the largest of Table 5', number, (
    SELECT max(number) FROM printed_numbers() WHERE metric = 'efficiency_gain_over_majority'
)
FROM printed_numbers()
WHERE metric = 'efficiency_vs_majority'
UNION ALL
SELECT 'size of 405B over 3B (x): text against Table 4', text.number, large.billions / small.billions
FROM printed_numbers() AS text
CROSS JOIN printed_numbers() AS large
CROSS JOIN printed_numbers() AS small
WHERE
    text.metric = 'model_size_ratio'
    AND large.item = 'Table 4' AND large.metric = 'total_FLOPS' AND large.model LIKE '%-405B-%'
    AND small.item = 'Table 4' AND small.metric = 'total_FLOPS' AND small.model LIKE '%-3B-%'
ORDER BY case_name;
