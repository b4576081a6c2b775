-- Tasks, the paper's most discussed one first. is_shown: what the study itself is about has it.
-- is_adopted: others ran or scored something on it.
SELECT
    task,
    title,
    n_problems,
    task IN (SELECT task FROM shown_tasks()) AS is_shown,
    task IN (SELECT collections.task FROM collections) AS is_adopted
FROM every_task()
ORDER BY task_rank;
