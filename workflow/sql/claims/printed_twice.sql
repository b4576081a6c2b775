-- One number printed in two places: a row for each pair of places. Accuracies in %.
WITH
accuracies AS (
    FROM printed_numbers() WHERE metric = 'accuracy' AND model IS NOT NULL AND method IS NOT NULL
)
SELECT
    concat_ws(', ', one.model, one.task, one.method)
    || ': ' || one.item || ' against ' || other.item AS case_name,
    one.number AS value,
    other.number AS reference
FROM accuracies AS one
INNER JOIN accuracies AS other USING (model_key, task, method)
WHERE one.item < other.item
ORDER BY case_name;
