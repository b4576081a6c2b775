# Problem sets, as far as judging needs them: ids, hashes and gold answers, no texts.
#
# in:  the store, else the pinned file of the task (mirror folder or download)
# out: <results>/problems/{task}-{digest}.parquet


rule prepare_problems:
    output:
        "<results>/problems/{task}-{digest}.parquet",
    log:
        "<logs>/prepare_problems/{task}-{digest}.log",
    resources:
        storage=plan.storage_at,
    params:
        spec=plan.problems,
    shell:
        "python -m compute_optimal prepare-problems"
        " --spec {params.spec:q}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
