-- One number printed in two places: a row for each pair of places. Accuracies in %.
WITH
accuracies AS (
    FROM printed_numbers() WHERE metric = 'accuracy' AND model IS NOT NULL AND method IS NOT NULL
)
SELECT
    concat_ws(', ', here.model, here.task, here.method)
    || ': ' || here.item || ' against ' || there.item AS case_name,
    here.number AS value,
    there.number AS reference
FROM accuracies AS here
INNER JOIN accuracies AS there USING (model_key, task, method)
WHERE here.item < there.item
ORDER BY case_name;
