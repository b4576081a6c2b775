-- The settings of the statistics: one row.
SELECT * FROM settings;
