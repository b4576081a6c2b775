-- The most problems of a task that anything with a PRM was run on; 0 where nothing was. Parameter: task.
SELECT coalesce(max(n_problems), 0) AS n_problems FROM main_curves WHERE task = $task AND prm IS NOT NULL;
