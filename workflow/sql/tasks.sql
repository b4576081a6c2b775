-- Tasks, the paper's most discussed one first.
SELECT ranked.task, ranked.title, ranked.n_problems, tasks.has_step_check
FROM ranked_tasks() AS ranked
INNER JOIN (SELECT task, has_step_check FROM tasks) AS tasks ON tasks.task = ranked.task
ORDER BY ranked.task_rank;
