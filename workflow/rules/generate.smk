# The expensive zone. Each job is one model load (search: one policy and one PRM); its command
# looks into the store, makes what is missing and writes a receipt of what is now there.
# A cell whose rows are all stored has no job. `engine` is 0 for a job whose rows were stored since:
# a dry run shows what will be generated.
# A study with `samples_per_job` splits large jobs by problems. Its shards fill the same partitions;
# the rule itself then finds everything there.
#
# in:  the store; model folders
# out: <results>/run/{task}/{policy}/samples-{digest}.json
#      <results>/run/{task}/{policy}/{prm}/scores-{digest}.json
#      <results>/run/{task}/{policy}/{prm}/searches-{digest}.json


rule draw_samples:
    input:
        shards=plan.shards("samples"),
    output:
        "<results>/run/{task}/{policy}/samples-{digest}.json",
    log:
        "<logs>/draw_samples/{task}/{policy}-{digest}.log",
    benchmark:
        "<benchmarks>/draw_samples/{task}/{policy}-{digest}.jsonl"
    resources:
        storage=plan.storage_at,
        engine=plan.engines("samples"),
        gpu=plan.gpus("samples"),
        mem_mb=plan.memory("samples"),
        runtime=plan.minutes("samples"),
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
        samples=plan.sample_receipt,
        shards=plan.shards("step_scores"),
    output:
        "<results>/run/{task}/{policy}/{prm}/scores-{digest}.json",
    log:
        "<logs>/score_steps/{task}/{policy}/{prm}-{digest}.log",
    benchmark:
        "<benchmarks>/score_steps/{task}/{policy}/{prm}-{digest}.jsonl"
    resources:
        storage=plan.storage_at,
        engine=plan.engines("step_scores"),
        gpu=plan.gpus("step_scores"),
        mem_mb=plan.memory("step_scores"),
        runtime=plan.minutes("step_scores"),
    params:
        spec=plan.scores,
    shell:
        "python -m compute_optimal score-steps"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule search_trees:
    input:
        shards=plan.shards("searches"),
    output:
        "<results>/run/{task}/{policy}/{prm}/searches-{digest}.json",
    log:
        "<logs>/search_trees/{task}/{policy}/{prm}-{digest}.log",
    benchmark:
        "<benchmarks>/search_trees/{task}/{policy}/{prm}-{digest}.jsonl"
    resources:
        storage=plan.storage_at,
        engine=plan.engines("searches"),
        gpu=plan.gpus("searches"),
        mem_mb=plan.memory("searches"),
        runtime=plan.minutes("searches"),
    params:
        spec=plan.searches,
    shell:
        "python -m compute_optimal search-trees"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


use rule draw_samples as draw_samples_of_shard with:
    output:
        "<results>/run/{task}/{policy}/samples-{shard}-{digest}.json",
    log:
        "<logs>/draw_samples/{task}/{policy}-{shard}-{digest}.log",
    benchmark:
        "<benchmarks>/draw_samples/{task}/{policy}-{shard}-{digest}.jsonl"


use rule score_steps as score_steps_of_shard with:
    output:
        "<results>/run/{task}/{policy}/{prm}/scores-{shard}-{digest}.json",
    log:
        "<logs>/score_steps/{task}/{policy}/{prm}-{shard}-{digest}.log",
    benchmark:
        "<benchmarks>/score_steps/{task}/{policy}/{prm}-{shard}-{digest}.jsonl"


use rule search_trees as search_trees_of_shard with:
    output:
        "<results>/run/{task}/{policy}/{prm}/searches-{shard}-{digest}.json",
    log:
        "<logs>/search_trees/{task}/{policy}/{prm}-{shard}-{digest}.log",
    benchmark:
        "<benchmarks>/search_trees/{task}/{policy}/{prm}-{shard}-{digest}.jsonl"
