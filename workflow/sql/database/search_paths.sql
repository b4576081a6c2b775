CREATE VIEW search_paths AS
SELECT
    task, policy, prm, method, budget, problem_id, repetition, subtree, sample_index AS path, answer,
    answer_class, correct, status, n_tokens, n_tokens_tree, finish_reason, margins
FROM answers
WHERE method IS NOT NULL;

COMMENT ON VIEW search_paths IS 'Graded answers of searches, one a row';
COMMENT ON COLUMN search_paths.path IS 'Number of the path in its subtree, from 0';
