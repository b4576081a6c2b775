-- The settings of the statistics, whether the study runs models itself, and whether these are miniatures:
-- one row.
SELECT
    *,
    EXISTS(SELECT 1 FROM policies WHERE origin = 'run') AS runs_models,
    is_miniature() AS is_miniature
FROM settings;
