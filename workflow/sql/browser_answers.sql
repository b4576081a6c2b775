-- Answers of some problems of one task and policy: the evaluation pool and all searches.
-- Parameters: task, policy, problems (a JSON list of problem ids).
SELECT
    problem_id, pool, prm, method, budget, subtree, sample_index, answer, answer_class, correct,
    status, n_tokens, finish_reason, margins
FROM answers
WHERE
    task = $task
    AND policy = $policy
    AND list_contains(from_json($problems, '["VARCHAR"]'), problem_id)
    AND (pool = 'evaluation' OR method IS NOT NULL)
    -- Of a search that was run repeatedly the first run is shown, as its own vote.
    AND coalesce(repetition, 0) = 0
ORDER BY problem_id, pool, prm, method, budget, subtree, sample_index;
