-- Tasks on which others ran or scored something, the paper's most discussed one first.
SELECT tasks.task, tasks.title, coalesce(counted.n_problems, tasks.n_problems) AS n_problems
FROM tasks
LEFT JOIN (
    SELECT name_key(task) AS task_key, count(*) AS n_values FROM published GROUP BY ALL
) AS printed ON printed.task_key = name_key(tasks.title)
LEFT JOIN (
    SELECT task, count(*) AS n_problems FROM problems GROUP BY ALL
) AS counted ON counted.task = tasks.task
WHERE tasks.task IN (SELECT collections.task FROM collections)
ORDER BY coalesce(printed.n_values, 0) DESC, tasks.n_problems DESC, tasks.task;
