"""The function behind each verb that a rule after the expensive zone calls.

``cli`` turns options into arguments of the same names and calls it, nothing more; ``sources`` finds
what it imports and reads, on which the rule depends.
"""

FUNCTIONS = {
    "grade-answers": "compute_optimal.judge.answers:judge_answers",
    "check-steps": "compute_optimal.judge.step_truth:check_steps",
    "estimate-accuracy": "compute_optimal.analyse.estimates:estimate_accuracy",
    "examine-prms": "compute_optimal.analyse.prm_examination:examine_prms",
    "build-database": "compute_optimal.analyse.database:build_database",
    "judge-claims": "compute_optimal.present.claims:write_verdicts",
    "draw-figures": "compute_optimal.present.render:draw_figures",
    "render-tables": "compute_optimal.present.render:render_tables",
    "run-notebooks": "compute_optimal.present.notebooks:execute",
    "build-browser": "compute_optimal.present.pages.browser:build_browser",
}
"""Verb -> module:function."""
