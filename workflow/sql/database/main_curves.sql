CREATE VIEW main_curves AS
SELECT c.* EXCLUDE (scoring, voting, bucket), p.origin
FROM curves c
JOIN policies p USING (policy)
CROSS JOIN settings s
WHERE
    c.bucket = 'all'
    AND (
        c.method IN ('cot', 'majority', 'pass_at_k')
        OR (c.scoring = s.scoring AND c.voting = s.voting)
    );

COMMENT ON VIEW main_curves IS
'Accuracy over all problems under the scoring and voting of settings: one row for each task, policy, PRM, method and budget';
COMMENT ON COLUMN main_curves.origin IS
'run: its solutions were made here; adopted: by others';
