-- Figure 3: how Pass@1 is distributed over the problems, per policy, in five bins of equal width.
-- One row per policy and bin; a policy without a difficulty pool has one row whose bin is NULL, or none if
-- others ran it.
-- Bins are closed on the right (the paper counts "Pass@1 > 80%"); the first one also holds 0.
-- Parameters: task.
WITH
binned AS (
    SELECT
        policy,
        -- In whole numbers: shares such as 0.8 have no exact binary form.
        greatest(0, ceil(5 * round(pass_at_1 * n_samples) / n_samples)::INTEGER - 1) AS bin,
        bucket,
        n_samples
    FROM difficulty
    WHERE task = $task
),
totals AS (
    SELECT
        policy,
        count(*) AS n_problems,
        max(n_samples) AS n_samples,
        count(*) FILTER (bucket = 'easy') AS n_easy,
        count(*) FILTER (bucket = 'medium') AS n_medium,
        count(*) FILTER (bucket = 'hard') AS n_hard
    FROM binned
    GROUP BY ALL
),
counts AS (SELECT policy, bin, count(*) AS n FROM binned GROUP BY ALL),
printed AS (
    SELECT policies.policy, min(try_cast(published.value::VARCHAR AS DOUBLE)) AS published_share
    FROM policies
    INNER JOIN published
        ON name_key(published.model) IN (name_key(policies.title), name_key(policies.policy))
    INNER JOIN tasks ON name_key(published.task) IN (name_key(tasks.title), name_key(tasks.task))
    WHERE published.item = 'Figure 3' AND tasks.task = $task
    GROUP BY ALL
)
SELECT
    policies.policy,
    policies.title AS policy_title,
    bins.bin::INTEGER AS bin,
    CASE WHEN bins.bin IS NOT NULL THEN coalesce(counts.n, 0) END AS n,
    counts.n / totals.n_problems AS share,
    totals.n_problems,
    tasks.n_problems AS n_expected,
    totals.n_samples,
    totals.n_easy,
    totals.n_medium,
    totals.n_hard,
    printed.published_share
FROM policies
INNER JOIN (SELECT DISTINCT policy FROM planned() WHERE task = $task) AS shown USING (policy)
INNER JOIN ranked_tasks() AS tasks ON tasks.task = $task
LEFT JOIN totals USING (policy)
LEFT JOIN range(5) AS bins (bin) ON totals.policy IS NOT NULL
LEFT JOIN counts ON counts.policy = policies.policy AND counts.bin = bins.bin
LEFT JOIN printed ON printed.policy = policies.policy
WHERE policies.origin = 'run' OR totals.policy IS NOT NULL
ORDER BY policies.family, policies.n_parameters, policies.policy, bins.bin;
