-- How far verdicts of the study's own evaluation pools hang on the grader.
FROM grader_sensitivity('run');
