-- Adopted collections: what was read, what of it was used, and what was left out or kept in part, by reason.
-- One row per collection. records, answers: of its files; NULL where each record is a file of its own, which
-- are not counted apart (n_rows: answers adopted). left_out, kept_in_part: [{reason, n}], largest first.
WITH
read AS (
    SELECT
        collection,
        count(*) AS n_files,
        sum(n_records)::BIGINT AS n_records,
        sum(n_used)::BIGINT AS n_used,
        sum(n_answers)::BIGINT AS n_answers,
        sum(n_answers_used)::BIGINT AS n_answers_used
    FROM adopted_files
    GROUP BY ALL
),
reasons AS (
    SELECT collection, adopted, reason, sum(n)::BIGINT AS n FROM adopted_findings GROUP BY ALL
),
findings AS (
    SELECT
        collection,
        list({'reason': reason, 'n': n} ORDER BY n DESC, reason) FILTER (NOT adopted) AS left_out,
        list({'reason': reason, 'n': n} ORDER BY n DESC, reason) FILTER (adopted) AS kept_in_part
    FROM reasons
    GROUP BY ALL
),
rows_of AS (
    SELECT policies.collection, count(*) AS n_rows
    FROM answers
    INNER JOIN policies USING (policy)
    WHERE policies.origin = 'adopted'
    GROUP BY ALL
)
SELECT
    collections.*,
    policies.title AS policy_title,
    policies.weights,
    prms.title AS prm_title,
    read.n_files,
    read.n_records,
    read.n_used,
    read.n_answers,
    read.n_answers_used,
    rows_of.n_rows,
    findings.left_out,
    findings.kept_in_part
FROM collections
LEFT JOIN policies ON policies.collection = collections.collection
LEFT JOIN prms ON prms.prm = collections.prm
LEFT JOIN read ON read.collection = collections.collection
LEFT JOIN findings ON findings.collection = collections.collection
LEFT JOIN rows_of ON rows_of.collection = collections.collection
ORDER BY
    collections.task, policies.family, policies.n_parameters NULLS LAST, policies.policy NULLS LAST,
    collections.collection;
