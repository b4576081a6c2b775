-- How far verdicts of pools that others drew hang on the grader.
FROM grader_sensitivity('adopted');
