-- Gains over CoT of Table 5, each model against the next larger one of its family, in %.
WITH
gains AS (
    SELECT *, regexp_extract(model, '^[A-Za-z]+') AS family
    FROM printed_numbers()
    WHERE item = 'Table 5' AND metric = 'performance_gain_over_CoT'
),
pairs AS (
    SELECT
        *,
        lead(model) OVER by_size AS larger,
        lead(number) OVER by_size AS gain_of_larger
    FROM gains
    WINDOW by_size AS (PARTITION BY family ORDER BY billions)
)
SELECT model || ' against ' || larger AS case_name, number AS value, gain_of_larger AS reference
FROM pairs
WHERE larger IS NOT NULL
ORDER BY family, billions;
