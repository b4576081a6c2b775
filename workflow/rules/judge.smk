# Answers are extracted and graded, and equivalent ones form classes. Runs and adopted rollouts
# end in the same table.
#
# in:  <results>/problems/{task}-{digest}.parquet, receipts of the generate zone, the store
# out: <results>/{origin}/{task}/{policy}/answers-{digest}.parquet
#      <results>/run/{task}/{policy}/{steps,pruning}-{digest}.parquet (tasks whose steps can be
#      checked)


rule grade_answers:
    input:
        problems=plan.task_table,
        receipts=plan.answer_receipts,
        code=plan.code("grade-answers"),
    output:
        "<results>/{origin}/{task}/{policy}/answers-{digest}.parquet",
    log:
        "<logs>/grade_answers/{origin}/{task}/{policy}-{digest}.log",
    # Before estimates, which take one core each: a job that wants all cores would wait for them, and
    # they for it, one at a time.
    priority: 1
    threads: plan.grading_threads
    resources:
        storage=plan.storage_at,
    params:
        spec=plan.answers,
    shell:
        "python -m compute_optimal grade-answers"
        " --spec {params.spec:q}"
        " --problems {input.problems:q}"
        " --workers {threads}"
        " --output {output:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"


rule check_steps:
    input:
        receipts=plan.run_receipts,
        code=plan.code("check-steps"),
    output:
        steps="<results>/run/{task}/{policy}/steps-{digest}.parquet",
        pruning="<results>/run/{task}/{policy}/pruning-{digest}.parquet",
    log:
        "<logs>/check_steps/{task}/{policy}-{digest}.log",
    resources:
        storage=plan.storage_at,
    params:
        spec=plan.checks,
    shell:
        "python -m compute_optimal check-steps"
        " --spec {params.spec:q}"
        " --steps {output.steps:q}"
        " --pruning {output.pruning:q}"
        " {resources.storage}"
        " 2>&1 | tee {log:q}"
