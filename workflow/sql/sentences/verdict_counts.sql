-- How many claims have each verdict: one row per scale and verdict.
SELECT scale, verdict, count(*) AS n_claims
FROM claims
GROUP BY scale, verdict
ORDER BY list_position(['public', 'printed', 'paper', 'study'], scale), n_claims DESC, verdict;
