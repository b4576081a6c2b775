"""The function behind each verb that a rule after the expensive zone calls.

``cli`` turns options into arguments of the same names and calls it, nothing more; ``sources`` finds
what it imports and reads, on which the rule depends.
"""

FUNCTIONS = {
    "grade-answers": "compute_optimal.judge:judge_answers",
    "check-steps": "compute_optimal.step_truth:check_steps",
    "estimate-accuracy": "compute_optimal.analyse:estimate_accuracy",
    "examine-prms": "compute_optimal.examine:examine_prms",
    "build-database": "compute_optimal.database:build_database",
    "judge-claims": "compute_optimal.claims:write_verdicts",
    "draw-figures": "compute_optimal.charts.present:draw_figures",
    "render-tables": "compute_optimal.charts.present:render_tables",
    "run-notebooks": "compute_optimal.notebooks:execute",
    "build-browser": "compute_optimal.pages.browser:build_browser",
}
"""Verb -> module:function."""
