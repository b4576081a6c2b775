-- Tasks, the paper's most discussed one first. is_adopted: others ran or scored something on it.
SELECT task, title, n_problems, task IN (SELECT collections.task FROM collections) AS is_adopted
FROM ranked_tasks()
ORDER BY task_rank;
