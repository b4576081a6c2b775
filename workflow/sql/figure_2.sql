-- Figure 2 is a drawing; this is what the study runs of it: its budgets and its beam width.
SELECT study_budgets.budget, settings.beam_width
FROM study_budgets CROSS JOIN settings
ORDER BY study_budgets.budget;
