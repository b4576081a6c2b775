-- Gains over CoT as printed in Table 5 against those that follow from its accuracies, in %.
SELECT
    gains.model AS case_name,
    gains.number AS value,
    100 * (scaled.number - cot.number) / cot.number AS reference
FROM printed_numbers() AS gains
INNER JOIN printed_numbers() AS scaled USING (item, model)
INNER JOIN printed_numbers() AS cot USING (item, model)
WHERE
    gains.item = 'Table 5'
    AND gains.metric = 'performance_gain_over_CoT'
    AND scaled.metric = 'accuracy'
    AND scaled.method = 'compute-optimal TTS'
    AND cot.metric = 'accuracy'
    AND cot.method = 'CoT'
ORDER BY gains.number DESC;
