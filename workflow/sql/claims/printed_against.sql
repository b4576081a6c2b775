-- Accuracy printed for one model with compute-optimal TTS against another's with CoT, by task, in %.
-- Parameters: item (the table), model, against (a pattern), tasks (a pattern).
SELECT
    there.model || ' on ' || here.task AS case_name,
    here.number AS value,
    there.number AS reference
FROM printed_numbers() AS here
INNER JOIN printed_numbers() AS there USING (item, task)
WHERE
    item = $item
    AND here.metric = 'accuracy'
    AND here.method = 'compute-optimal TTS'
    AND there.method = 'CoT'
    AND here.model = $model
    AND regexp_full_match(there.model, $against)
    AND regexp_full_match(task, $tasks)
ORDER BY case_name;
