# Estimates per (task, policy), then one database of everything.
#
# in:  <results>/{origin}/{task}/{policy}/answers-{digest}.parquet, score receipts, the store
# out: <results>/{origin}/{task}/{policy}/{difficulty,curves,outcomes,selection,choices,
#      chosen_outcomes,held_out_outcomes,picks,calibration,score_quality,run_to_run,pool_outcomes,pool_selection,
#      pool_choices,pool_chosen,predictions,predicted_selection,predicted_choices,
#      predicted_outcomes,predicted_gaps,unpredicted,adaptive,bucket_accuracy}-{digest}.parquet
#      <results>/run/{task}/{prm_rates,prm_cases}-{digest}.parquet (tasks whose steps can be checked)
#      <results>/study-{digest}.json, <results>/run/analysis.duckdb


rule estimate_accuracy:
    input:
        problems=plan.task_table,
        answers=plan.answer_table,
        receipts=plan.score_receipts,
        code=plan.code("estimate-accuracy"),
    output:
        difficulty="<results>/{origin}/{task}/{policy}/difficulty-{digest}.parquet",
        curves="<results>/{origin}/{task}/{policy}/curves-{digest}.parquet",
        outcomes="<results>/{origin}/{task}/{policy}/outcomes-{digest}.parquet",
        selection="<results>/{origin}/{task}/{policy}/selection-{digest}.parquet",
        choices="<results>/{origin}/{task}/{policy}/choices-{digest}.parquet",
        chosen="<results>/{origin}/{task}/{policy}/chosen_outcomes-{digest}.parquet",
        held_out="<results>/{origin}/{task}/{policy}/held_out_outcomes-{digest}.parquet",
        picks="<results>/{origin}/{task}/{policy}/picks-{digest}.parquet",
        calibration="<results>/{origin}/{task}/{policy}/calibration-{digest}.parquet",
        score_quality="<results>/{origin}/{task}/{policy}/score_quality-{digest}.parquet",
        run_to_run="<results>/{origin}/{task}/{policy}/run_to_run-{digest}.parquet",
        pool_outcomes="<results>/{origin}/{task}/{policy}/pool_outcomes-{digest}.parquet",
        pool_selection="<results>/{origin}/{task}/{policy}/pool_selection-{digest}.parquet",
        pool_choices="<results>/{origin}/{task}/{policy}/pool_choices-{digest}.parquet",
        pool_chosen="<results>/{origin}/{task}/{policy}/pool_chosen-{digest}.parquet",
        predictions="<results>/{origin}/{task}/{policy}/predictions-{digest}.parquet",
        predicted_selection="<results>/{origin}/{task}/{policy}/predicted_selection-{digest}.parquet",
        predicted_choices="<results>/{origin}/{task}/{policy}/predicted_choices-{digest}.parquet",
        predicted_outcomes="<results>/{origin}/{task}/{policy}/predicted_outcomes-{digest}.parquet",
        predicted_gaps="<results>/{origin}/{task}/{policy}/predicted_gaps-{digest}.parquet",
        unpredicted="<results>/{origin}/{task}/{policy}/unpredicted-{digest}.parquet",
        adaptive="<results>/{origin}/{task}/{policy}/adaptive-{digest}.parquet",
        bucket_accuracy="<results>/{origin}/{task}/{policy}/bucket_accuracy-{digest}.parquet",
    log:
        "<logs>/estimate_accuracy/{origin}/{task}/{policy}-{digest}.log",
    resources:
        storage=plan.storage_at,
    params:
        spec=plan.estimates,
    shell:
        "python -m compute_optimal estimate-accuracy"
        " --spec {params.spec:q}"
        " --problems {input.problems:q}"
        " --answers {input.answers:q}"
        " --outputs {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule examine_prms:
    input:
        problems=plan.task_table,
        steps=plan.step_tables,
        receipts=plan.task_score_receipts,
        code=plan.code("examine-prms"),
    output:
        rates="<results>/run/{task}/prm_rates-{digest}.parquet",
        cases="<results>/run/{task}/prm_cases-{digest}.parquet",
    log:
        "<logs>/examine_prms/{task}-{digest}.log",
    resources:
        storage=plan.storage_at,
    params:
        spec=plan.examination,
    shell:
        "python -m compute_optimal examine-prms"
        " --spec {params.spec:q}"
        " --problems {input.problems:q}"
        " --steps {input.steps:q}"
        " --rates {output.rates:q}"
        " --cases {output.cases:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule describe_study:
    output:
        "<results>/study-{digest}.json",
    log:
        "<logs>/describe_study-{digest}.log",
    retries: 0
    params:
        spec=plan.database,
    shell:
        "python -m compute_optimal describe-study"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule build_database:
    input:
        study=plan.description,
        problems=plan.problem_tables,
        estimates=plan.estimate_tables,
        abilities=plan.ability_tables,
        published="data/published/paper.csv",
        processbench="data/published/processbench.csv",
        optscale="data/published/optscale.csv",
        pretraining="data/published/pretraining.csv",
        code=plan.code("build-database"),
    output:
        "<results>/run/analysis.duckdb",
    log:
        "<logs>/build_database.log",
    resources:
        storage=plan.storage_at,
    shell:
        "python -m compute_optimal build-database"
        " --study {input.study:q}"
        " --tables {input.problems:q} {input.estimates:q} {input.abilities:q}"
        " --published {input.published:q}"
        " --processbench {input.processbench:q}"
        " --optscale {input.optscale:q}"
        " --pretraining {input.pretraining:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
