-- Tasks, the paper's most discussed one first.
SELECT task, title, n_problems FROM ranked_tasks() ORDER BY task_rank;
