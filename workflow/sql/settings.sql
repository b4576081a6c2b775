-- The settings of the statistics, and whether the study's own models are miniatures: one row.
SELECT
    *,
    is_miniature() AS is_miniature
FROM settings;
