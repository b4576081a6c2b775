-- By what the rollouts of each task and policy were made: their specifications with seed, engine and version,
-- and of adopted ones where they come from. About in the order in which a study makes them.
SELECT
    task, policy, kind, prm, method, budget, left(sha256(spec), 12) AS digest,
    coalesce(spec ->> '$.seed', spec ->> '$.samples.seed') AS seed,
    coalesce(spec ->> '$.temperature', spec ->> '$.samples.temperature') AS temperature,
    string_agg(DISTINCT engine, '; ' ORDER BY engine) AS engine,
    string_agg(DISTINCT package, '; ' ORDER BY package) AS package,
    NULL AS source, NULL AS "commit", NULL AS licence, NULL AS caveats
FROM ledger
GROUP BY task, policy, kind, prm, method, budget, spec
UNION ALL
SELECT
    task, policy, collection, prm, variant, NULL, NULL, NULL, NULL, NULL, NULL,
    source, "commit", licence, caveats
FROM collections
WHERE policy IS NOT NULL
ORDER BY task, policy, kind, prm, method, budget, digest;
