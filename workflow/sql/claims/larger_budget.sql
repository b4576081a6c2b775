-- Accuracy of a model at the budget named in its row of Table 3 against its row without one, in %.
SELECT
    large.model || ' on ' || large.task AS case_name,
    large.number AS value,
    small.number AS reference
FROM printed_numbers() AS large
INNER JOIN printed_numbers() AS small USING (item, task, method)
WHERE
    item = 'Table 3'
    AND regexp_matches(large.model, ' \(N=[0-9]+\)$')
    AND small.model = regexp_replace(large.model, ' \(N=[0-9]+\)$', '')
    AND task <> 'Avg'
ORDER BY case_name;
