# The expensive zone. Each job is one model load (search: one policy and one PRM); its command
# looks into the store, makes what is missing and writes a receipt of what is now there.
# `engine` is 0 for a job whose rows are all stored: a dry run shows what will be generated.
#
# in:  the store; model folders
# out: <results>/run/{task}/{policy}/samples-{digest}.json
#      <results>/run/{task}/{policy}/{prm}/scores-{digest}.json
#      <results>/run/{task}/{policy}/{prm}/searches-{digest}.json


rule draw_samples:
    output:
        "<results>/run/{task}/{policy}/samples-{digest}.json",
    log:
        "<logs>/draw_samples/{task}/{policy}-{digest}.log",
    benchmark:
        "<benchmarks>/draw_samples/{task}/{policy}-{digest}.jsonl"
    resources:
        storage=plan.storage,
        engine=plan.sampling_engines,
    params:
        spec=plan.samples,
    shell:
        "python -m compute_optimal draw-samples"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule score_steps:
    input:
        plan.sample_receipt,
    output:
        "<results>/run/{task}/{policy}/{prm}/scores-{digest}.json",
    log:
        "<logs>/score_steps/{task}/{policy}/{prm}-{digest}.log",
    benchmark:
        "<benchmarks>/score_steps/{task}/{policy}/{prm}-{digest}.jsonl"
    resources:
        storage=plan.storage,
        engine=plan.scoring_engines,
    params:
        spec=plan.scores,
    shell:
        "python -m compute_optimal score-steps"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule search_trees:
    output:
        "<results>/run/{task}/{policy}/{prm}/searches-{digest}.json",
    log:
        "<logs>/search_trees/{task}/{policy}/{prm}-{digest}.log",
    benchmark:
        "<benchmarks>/search_trees/{task}/{policy}/{prm}-{digest}.jsonl"
    resources:
        storage=plan.storage,
        engine=plan.searching_engines,
    params:
        spec=plan.searches,
    shell:
        "python -m compute_optimal search-trees"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
