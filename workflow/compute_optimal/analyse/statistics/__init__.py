"""Numbers from outcomes: estimators over a pool, intervals, difficulty and strategy selection.

Pure functions of numpy arrays. Accuracies are fractions in 0..1; a row is a problem.

Distributions and tests are SciPy's, imported where they are asked for: a dozen of the thirty
processes of ``make`` compute statistics, and each import takes 0.2 s (``scipy.special``) or 0.7 s
(``scipy.stats``).
"""
