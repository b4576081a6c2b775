-- The bucket of each candidate for each policy, in the order of the candidates' numbers.
SELECT policy, bucket
FROM difficulty
WHERE pool = 'difficulty'
ORDER BY policy, problem_id
