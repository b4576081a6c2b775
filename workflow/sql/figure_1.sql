-- Figure 1: small policies with compute-optimal TTS beside larger ones with CoT, for every task.
-- One row per task, policy, series and budget (see gain_series in macros.sql), and one per model
-- that the paper's Figure 1 shows with CoT and the study does not run: series 'printed', its
-- printed_accuracy in %. Parameters: scoring, voting.
WITH
rows_of_study AS (
    SELECT *, NULL::DOUBLE AS printed_accuracy FROM gain_series($scoring, $voting)
),
rows_of_paper AS (
    SELECT
        tasks.task,
        tasks.title AS task_title,
        tasks.task_rank,
        published.model AS policy,
        published.model AS policy_title,
        'printed' AS series,
        try_cast(published.value::VARCHAR AS DOUBLE) AS printed_accuracy
    FROM published
    INNER JOIN ranked_tasks() AS tasks
        ON name_key(published.task) IN (name_key(tasks.title), name_key(tasks.task))
    WHERE
        published.item = 'Figure 1'
        AND published.method = 'CoT'
        AND name_key(published.model) NOT IN (SELECT name_key(title) FROM policies)
)
SELECT * FROM rows_of_study
UNION ALL BY NAME
SELECT * FROM rows_of_paper
ORDER BY
    task_rank, series = 'printed', n_parameters, family, policy, series, budget,
    printed_accuracy;
