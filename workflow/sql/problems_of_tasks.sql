-- All problems of each task, one row a task.
FROM problems_of_tasks() ORDER BY task;
