# The scale model: policies and PRMs trained from scratch. Not part of a study: their checkpoints
# ship in data/models, and `make micro` trains them anew.
#
# in:  recipes (compute_optimal.micro.recipes)
# out: <results>/models/{name}/


rule train_micro_models:
    input:
        plan.micro_models,


rule train_micro_policy:
    output:
        directory("<results>/models/{micro_policy}"),
    log:
        "<logs>/train_micro_policy/{micro_policy}.log",
    wildcard_constraints:
        micro_policy=plan.micro_policy_pattern,
    params:
        spec=plan.micro_recipe,
    shell:
        "python -m compute_optimal train-micro-model --spec {params.spec:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule train_micro_base:
    input:
        plan.micro_base_inputs,
    output:
        directory("<results>/models/{micro_base}"),
    log:
        "<logs>/train_micro_base/{micro_base}.log",
    wildcard_constraints:
        micro_base=plan.micro_base_pattern,
    params:
        spec=plan.micro_recipe,
    shell:
        "python -m compute_optimal train-micro-model --spec {params.spec:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"


rule train_micro_prm:
    input:
        plan.micro_prm_inputs,
    output:
        directory("<results>/models/{micro_prm}"),
    log:
        "<logs>/train_micro_prm/{micro_prm}.log",
    wildcard_constraints:
        micro_prm=plan.micro_prm_pattern,
    params:
        spec=plan.micro_recipe,
    shell:
        "python -m compute_optimal train-micro-model --spec {params.spec:q}"
        " --output {output:q}"
        " 2>&1 | tee {log:q}"
