-- The bucket of each candidate for each policy, in the order of the candidates' numbers. Parameter:
-- task.
SELECT policy, bucket
FROM difficulty
WHERE task = $task AND pool = 'difficulty'
ORDER BY policy, problem_id
