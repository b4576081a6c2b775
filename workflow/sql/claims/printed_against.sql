-- Accuracy printed for one model against another's, one with compute-optimal TTS and one with CoT, by
-- task, in %.
-- Parameters: item (the table), model, against (a pattern), tasks (a pattern).
SELECT
    other.model || ' on ' || one.task AS case_name,
    one.number AS value,
    other.number AS reference
FROM printed_numbers() AS one
INNER JOIN printed_numbers() AS other USING (item, task)
WHERE
    item = $item
    AND one.metric = 'accuracy'
    AND other.metric = one.metric
    AND one.method IN ('CoT', 'compute-optimal TTS')
    AND other.method IN ('CoT', 'compute-optimal TTS')
    AND other.method <> one.method
    AND one.model = $model
    AND regexp_full_match(other.model, $against)
    AND regexp_full_match(task, $tasks)
ORDER BY case_name;
