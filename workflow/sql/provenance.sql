-- How each number was made: one row per cell of the study that an engine has generated, with what
-- decides its bytes. digest: of the spec, as in the name of the cell's folder in the store. spec:
-- canonical JSON. engines, packages, machines: all that took part, as recorded.
WITH
generated AS (
    SELECT
        task,
        policy,
        prm,
        kind,
        method,
        budget,
        spec,
        sum(n_units)::BIGINT AS n_units,
        string_agg(DISTINCT engine, '; ' ORDER BY engine) AS engines,
        string_agg(DISTINCT package, '; ' ORDER BY package) AS packages,
        string_agg(DISTINCT machine, '; ' ORDER BY machine) AS machines
    FROM ledger
    GROUP BY task, policy, prm, kind, method, budget, spec
)
SELECT
    tasks.task,
    tasks.title AS task_title,
    policies.policy,
    policies.title AS policy_title,
    prms.prm,
    prms.title AS prm_title,
    generated.kind,
    generated.method,
    generated.budget,
    generated.n_units,
    left(sha256(spec), 12) AS digest,
    coalesce(spec ->> '$.policy.revision', spec ->> '$.samples.policy.revision')
        AS policy_revision,
    spec ->> '$.prm.revision' AS prm_revision,
    coalesce(spec ->> '$.seed', spec ->> '$.samples.seed')::BIGINT AS seed,
    coalesce(spec ->> '$.temperature', spec ->> '$.samples.temperature')::DOUBLE AS temperature,
    coalesce(spec ->> '$.dtype', spec ->> '$.samples.dtype') AS dtype,
    generated.engines,
    generated.packages,
    generated.machines,
    spec
FROM generated
INNER JOIN ranked_tasks() AS tasks USING (task)
INNER JOIN policies USING (policy)
LEFT JOIN prms USING (prm)
ORDER BY
    tasks.task_rank, policies.family, policies.n_parameters, policies.policy,
    list_position(['samples', 'step_scores', 'searches'], generated.kind), prms.n_parameters,
    prms.prm, generated.method, generated.budget, spec;
