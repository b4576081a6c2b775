"""The function behind each verb: ``cli`` turns options into its arguments and calls it.

A rule after the expensive zone depends on the sources of its function: ``study.sources`` finds what
it imports and reads. What other verbs return are lines for people.
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
    "build-explorer": "compute_optimal.present.pages.explorer:build_explorer",
    "build-browser": "compute_optimal.present.pages.browser:build_browser",
    "describe-provenance": "compute_optimal.present.provenance:write_crate",
}
"""Verb -> module:function, of the rules that depend on their sources."""

OTHER_FUNCTIONS = {
    # Rules that depend on their parameter alone.
    "prepare-problems": "compute_optimal.generate.rules:prepare_problems",
    "draw-samples": "compute_optimal.generate.rules:draw_samples",
    "score-steps": "compute_optimal.generate.rules:score_steps",
    "search-trees": "compute_optimal.generate.rules:search_trees",
    "describe-study": "compute_optimal.study.description:describe_study",
    "train-micro-model": "compute_optimal.micro.training:train_model",
    # What make and people call.
    "finish-report": "compute_optimal.present.pages.report:finish_report",
    "results-folder": "compute_optimal.study.config:results_folder",
    "lock": "compute_optimal.study.models:lock_study",
    "plan": "compute_optimal.study.schedule:plan_study",
    "check-engine": "compute_optimal.ship.engine_check:check_engine",
    "adopt": "compute_optimal.adopt.collection:adopt_all",
    "import-gguf": "compute_optimal.engines.gguf:import_gguf",
    "choose-problems": "compute_optimal.micro.evaluation_set:choose_by_pilot",
    "install-models": "compute_optimal.ship.shipping:install_trained",
    "ship": "compute_optimal.ship.shipping:ship_studies",
    "publish": "compute_optimal.ship.shipping:publish_studies",
    "fetch": "compute_optimal.ship.shipping:fetch_study",
    "verify": "compute_optimal.ship.verify:verify_study",
    "audit": "compute_optimal.ship.audit:audit_studies",
    "cards": "compute_optimal.ship.cards:write_cards",
    "archive": "compute_optimal.ship.archive:archive_study",
    "recommend": "compute_optimal.present.recommend:answer",
}
"""Verb -> module:function, of all others."""
