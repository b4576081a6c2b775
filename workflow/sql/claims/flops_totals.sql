-- Total FLOPs of Table 4 against the sum of pre-training and inference, as a ratio to the sum.
SELECT
    totals.model AS case_name,
    totals.number / sum(parts.number) AS value,
    1.0 AS reference
FROM printed_numbers() AS totals
INNER JOIN printed_numbers() AS parts USING (item, model)
WHERE
    totals.item = 'Table 4'
    AND totals.metric = 'total_FLOPS'
    AND parts.metric IN ('pretraining_FLOPS', 'inference_FLOPS')
GROUP BY totals.model, totals.number
ORDER BY case_name;
