# Compute-optimal test-time scaling, end to end. Rules are included in the order in which they run.

from compute_optimal.study.plan import for_snakemake
from snakemake.utils import min_version

min_version("9.27")


# A study is one file: --configfile replaces the default study instead of extending it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


# Read anew: of two equal keys and of 010, what Snakemake has read no longer shows what was written.
plan = for_snakemake(workflow)
# What captions of the report are told.
config.update(plan.described)


pathvars:
    results=plan.results,
    benchmarks=f"{plan.results}/benchmarks",
    logs=f"logs/{plan.study.name}",


# Built by `make container`; used only with --software-deployment-method apptainer. Otherwise the
# rules run in the environment that Snakemake itself runs in.
container: "container/engine-cpu.sif"


report: "workflow/report/workflow.rst"


wildcard_constraints:
    digest="[0-9a-f]{12}",
    shard=r"\d+-of-\d+",
    origin="run|adopted",
    task=r"[\w.-]+",
    policy=r"[\w.-]+",
    prm=r"[\w.-]+",
    verb=r"[a-z-]+",


onstart:
    # Elsewhere than here, jobs find an engine in an environment or a container of their own.
    plan.announce(
        runs_here=workflow.local_exec
        and not workflow.deployment_settings.deployment_method
    )


include: "workflow/rules/code.smk"
include: "workflow/rules/problems.smk"
include: "workflow/rules/generate.smk"
include: "workflow/rules/judge.smk"
include: "workflow/rules/analyse.smk"
include: "workflow/rules/present.smk"
include: "workflow/rules/micro.smk"


rule analysis:
    input:
        plan.code_records,
        plan.description,
        "<results>/run/analysis.duckdb",


rule all:
    default_target: True
    input:
        rules.analysis.input,
        plan.claims,
        rules.draw_figures.output,
        rules.render_tables.output,
        plan.notebooks_as("html"),
        plan.explorer,
        plan.browser,
        rules.describe_provenance.output,
