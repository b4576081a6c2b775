-- Printed averages against the mean of the two benchmarks printed beside them, in %.
SELECT
    averages.item || ': ' || averages.model AS case_name,
    any_value(averages.number) AS value,
    avg(parts.number) AS reference
FROM printed_numbers() AS averages
INNER JOIN printed_numbers() AS parts USING (item, model, method)
WHERE averages.task = 'Avg' AND parts.task IN ('MATH-500', 'AIME24')
GROUP BY averages.item, averages.model, averages.method
ORDER BY case_name;
