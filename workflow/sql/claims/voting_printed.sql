-- Table 2: accuracy by PRM-Vote against PRM-Max for each way to score a trajectory, in %.
-- Parameters: prm (a pattern).
SELECT
    votes.prm || ', ' || regexp_replace(votes.method, '-Vote$', '') AS case_name,
    votes.number AS value,
    bests.number AS reference
FROM printed_numbers() AS votes
INNER JOIN printed_numbers() AS bests USING (item, prm)
WHERE
    item = 'Table 2'
    AND bests.method = regexp_replace(votes.method, '-Vote$', '-Max')
    AND votes.method LIKE '%-Vote'
    AND regexp_full_match(prm, $prm)
ORDER BY case_name;
