"""The catalogue: every figure and table of the study, one entry each.

To add one, write ``workflow/sql/<query>.sql`` and ``workflow/report/<name>.rst``, a function from
rows to a chart or a table, and an entry here (CONTRIBUTING.md has the tests). Importing this module
needs no plotting library.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from compute_optimal.analyse.differences import LEAST_PROBLEMS
from compute_optimal.errors import StudyError
from compute_optimal.present.charts import (
    ability,
    accuracy,
    comparison,
    dependence,
    distribution,
    failures,
    gains,
    optimism,
    optscale,
    prediction,
    public,
    reward_models,
    schematic,
    scores,
)
from compute_optimal.present.charts.grid import Grid
from compute_optimal.present.query import Row
from compute_optimal.present.style import NOT_RUN
from compute_optimal.present.tables import (
    compute,
    difficulty,
    frontier,
    graders,
    paper,
    prm_gains,
    prms,
    prompts,
    provenance,
    rollouts,
    voting,
)
from compute_optimal.present.tables import dependence as dependence_tables
from compute_optimal.present.tables import optscale as optscale_tables
from compute_optimal.present.tables import prediction as prediction_tables
from compute_optimal.present.tables import public as public_tables
from compute_optimal.present.tables import reward_models as reward_model_tables
from compute_optimal.present.tables import scores as score_tables
from compute_optimal.present.tables.model import Table

NOTEBOOKS = (
    "01_setting",
    "02_difficulty",
    "03_scaling",
    "04_prms",
    "05_compute_optimal",
    "06_costs",
    "07_verdicts",
)
"""The reader's path, in order: files in ``notebooks/``."""

Scale = Literal["study", "public", "printed"]
Chart = Callable[[Sequence[Row], str, str], Grid]
"""From the rows of its query, its heading and its subtitle."""
Tabulation = Callable[[Sequence[Row], str], Table]
"""From the rows of its query and its title."""


@dataclass(frozen=True)
class Item:
    """One figure or table; exactly one of ``chart`` and ``table`` makes it.

    ``reference``: its number in the paper, empty if it is this study's own. ``query``: the file in
    ``workflow/sql``, without its suffix. ``task_rank``: which task it shows, counted from 0, the
    paper's most discussed one; None for all tasks. ``aggregated``: whether it depends on the rule
    that turns step scores into one. ``voting``: the rule from scores to an answer that it shows
    whichever the study has; None where its query takes one, and where nothing votes. ``intervals``:
    whether a chart draws them. ``scale``: public shows adopted rollouts alone, and ``task_rank``
    counts the tasks that have some; printed shows what another paper prints; study shows what the
    study itself runs or, where an item of one task finds nothing of that, adopted rollouts; where a
    query tells the two apart (column origin), never both. ``least_problems``: of how many problems
    at least there are results. ``checks_steps``: whether it takes the truth about steps, which only
    some tasks can have. ``nothing``: what stands in place of results where there are none.
    """

    name: str
    reference: str
    title: str
    query: str
    chart: Chart | None = None
    table: Tabulation | None = None
    task_rank: int | None = 0
    aggregated: bool = True
    voting: Literal["prm_max"] | None = None
    intervals: bool = True
    scale: Scale = "study"
    least_problems: int = 1
    checks_steps: bool = False
    nothing: str = NOT_RUN

    @property
    def kind(self) -> Literal["figure", "table"]:
        return "figure" if self.chart is not None else "table"

    @property
    def heading(self) -> str:
        """Title with the number in the paper."""
        return f"{self.reference}: {self.title}" if self.reference else self.title


def _with_numbers(figure: Item, name: str, table: Tabulation) -> tuple[Item, Item]:
    """A figure, and after it the table called ``name`` of the numbers that it shows."""
    return figure, replace(figure, name=name, chart=None, table=table)


ITEMS: tuple[Item, ...] = (
    *_with_numbers(
        Item(
            "small_against_large",
            "",
            "Real models: small ones with TTS against large ones with CoT",
            "small_against_large",
            chart=public.small_against_large,
            task_rank=None,
            aggregated=False,
            scale="public",
        ),
        "small_against_large_numbers",
        public_tables.small_against_large,
    ),
    *_with_numbers(
        Item(
            "public_methods",
            "",
            "Real models: methods against each other",
            "public_methods",
            chart=public.methods,
            task_rank=None,
            scale="public",
        ),
        "public_methods_numbers",
        public_tables.methods,
    ),
    Item(
        "public_pools",
        "",
        "Real models: accuracy at every N that a pool carries",
        "public_pools",
        table=public_tables.pools,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_graders",
        "",
        "Real models: how much depends on the grader",
        "public_graders",
        table=graders.adopted,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_selection",
        "",
        "Real models: compute-optimal selection, four ways",
        "public_selection",
        table=public_tables.selection,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_predicted_difficulty",
        "",
        "Real models: strategies chosen by predicted difficulty against other ways to choose",
        "predicted_difficulty",
        chart=prediction.regret,
        scale="public",
    ),
    Item(
        "public_predicted_difficulty_numbers",
        "",
        "Real models: strategies chosen by predicted difficulty against other ways to choose",
        "predicted_difficulty",
        table=prediction_tables.predicted,
        scale="public",
    ),
    Item(
        "public_adaptive_budgets",
        "",
        "Real models: what it saves to stop drawing early",
        "adaptive_budgets",
        table=prediction_tables.stopping,
        scale="public",
    ),
    Item(
        "overview",
        "",
        "The policies: accuracy of one sample, difficulty and length",
        "overview",
        table=paper.overview,
        task_rank=None,
        aggregated=False,
    ),
    Item(
        "figure_1",
        "Figure 1",
        "Small policies with compute-optimal TTS against larger ones with CoT",
        "figure_1",
        chart=comparison.small_against_large,
        task_rank=None,
    ),
    Item(
        "figure_2",
        "Figure 2",
        "Best-of-N, beam search and DVTS",
        "figure_2",
        chart=schematic.methods,
        task_rank=None,
        aggregated=False,
        intervals=False,
    ),
    Item(
        "figure_3",
        "Figure 3",
        "Pass@1 of the problems, per policy",
        "figure_3",
        chart=distribution.pass_at_1,
        intervals=False,
        aggregated=False,
    ),
    Item(
        "figure_4",
        "Figure 4",
        "Accuracy over budget with every PRM, for one policy of up to two families",
        "figure_4",
        chart=accuracy.by_prm,
    ),
    Item(
        "figure_5",
        "Figure 5",
        "Accuracy over budget with every PRM, second task",
        "figure_4",
        chart=accuracy.by_prm,
        task_rank=1,
    ),
    Item(
        "figure_6",
        "Figure 6",
        "Accuracy against the ability of the PRM",
        "figure_6",
        chart=ability.accuracy_by_ability,
    ),
    Item(
        "figure_7",
        "Figure 7",
        "Accuracy over budget for policies of growing size",
        "figure_7",
        chart=accuracy.by_policy,
    ),
    Item(
        "figure_8",
        "Figure 8",
        "Accuracy over budget by difficulty, Llama policies",
        "figure_8",
        chart=accuracy.by_difficulty,
    ),
    Item(
        "figure_9",
        "Figure 9",
        "Accuracy over budget by difficulty, other policies",
        "figure_9",
        chart=accuracy.by_difficulty,
    ),
    Item(
        "figure_10",
        "Figure 10",
        "Accuracy over budget for every policy and PRM",
        "figure_10",
        chart=accuracy.by_prm,
    ),
    Item(
        "figure_11",
        "Figure 11",
        "Accuracy over budget for every policy and PRM, second task",
        "figure_10",
        chart=accuracy.by_prm,
        task_rank=1,
    ),
    Item(
        "figure_12",
        "Figure 12",
        "Two PRMs choose from the same samples",
        "prm_cases",
        chart=failures.examples("disagreement"),
        aggregated=False,
        intervals=False,
        checks_steps=True,
    ),
    Item(
        "figure_13",
        "Figure 13",
        "Over-criticism: a right step is scored as wrong",
        "prm_cases",
        chart=failures.examples("over_criticism"),
        aggregated=False,
        intervals=False,
        checks_steps=True,
    ),
    Item(
        "figure_14",
        "Figures 14 and 15",
        "Error neglect: a wrong step is scored as right",
        "prm_cases",
        chart=failures.examples("error_neglect"),
        aggregated=False,
        intervals=False,
        checks_steps=True,
    ),
    Item(
        "figure_16",
        "Figure 16",
        "Error localisation bias: another step is flagged than the wrong one",
        "prm_cases",
        chart=failures.examples("localisation_bias"),
        aggregated=False,
        intervals=False,
        checks_steps=True,
    ),
    Item(
        "figure_17",
        "Figures 17 and 18",
        "Scoring bias: two right steps of unlike length, scored unlike",
        "prm_cases",
        chart=failures.examples("prefers_longer", "prefers_shorter"),
        aggregated=False,
        intervals=False,
        checks_steps=True,
    ),
    Item(
        "prm_failures",
        "",
        "How often PRMs fail, and how",
        "prm_failures",
        chart=failures.failure_rates,
        aggregated=False,
        checks_steps=True,
    ),
    Item(
        "pruning",
        "",
        "When searches prune the right path",
        "pruning",
        chart=failures.pruned_paths,
        aggregated=False,
        checks_steps=True,
    ),
    Item(
        "accuracy_against_seconds",
        "",
        "Accuracy against time",
        "accuracy_against_seconds",
        chart=accuracy.against_seconds,
    ),
    Item(
        "over_optimisation",
        "",
        "Best-of-N as N grows: what the PRM thinks of its pick, and what it is",
        "over_optimisation",
        chart=scores.over_optimisation,
        voting="prm_max",
    ),
    *_with_numbers(
        Item(
            "prm_gains",
            "",
            "How good a PRM must be: gain over majority voting against its ability",
            "prm_gains",
            chart=gains.by_policy,
            least_problems=LEAST_PROBLEMS,
        ),
        "prm_gains_numbers",
        prm_gains.gains,
    ),
    *_with_numbers(
        Item(
            "prm_gains_by_difficulty",
            "",
            "How good a PRM must be, by difficulty",
            "prm_gains",
            chart=gains.by_difficulty,
            least_problems=LEAST_PROBLEMS,
        ),
        "prm_thresholds",
        prm_gains.thresholds,
    ),
    Item(
        "over_optimisation_by_ability",
        "",
        "Over-optimisation against ability: best-of-N from the smallest to the largest N",
        "prm_gains",
        chart=gains.change_with_budget,
        least_problems=LEAST_PROBLEMS,
    ),
    Item(
        "calibration",
        "",
        "Whether a score is the chance of being right",
        "calibration",
        chart=scores.calibration,
    ),
    Item(
        "run_to_run",
        "",
        "How much of an accuracy is chance: other seeds, and other problems",
        "run_to_run",
        chart=scores.run_to_run,
        voting="prm_max",
    ),
    Item(
        "optimism_gap",
        "",
        "What compute-optimal selection gains, and what of it is optimism",
        "optimism_gap",
        chart=optimism.selections,
    ),
    *_with_numbers(
        Item(
            "choice_dependence",
            "",
            "What choosing gains by knowing the policy, the PRM and the difficulty",
            "choice_dependence",
            chart=dependence.left_out,
        ),
        "choice_dependence_numbers",
        dependence_tables.table,
    ),
    Item(
        "accuracy_against_flops",
        "",
        "Accuracy against compute",
        "accuracy_against_flops",
        chart=accuracy.against_flops,
    ),
    Item(
        "cost_ledger",
        "",
        "What the cells cost: tokens and seconds of each engine",
        "cost_ledger",
        table=paper.cost_ledger,
        task_rank=None,
        aggregated=False,
    ),
    Item(
        "score_quality",
        "",
        "What the scores of a PRM are worth",
        "score_quality",
        table=score_tables.score_quality,
    ),
    Item(
        "public_score_quality",
        "",
        "What the scores of a PRM are worth on real models' solutions",
        "score_quality",
        table=score_tables.score_quality,
        scale="public",
    ),
    Item(
        "public_calibration",
        "",
        "Whether a PRM's score of a real solution is the chance of its being right",
        "calibration",
        chart=scores.calibration,
        scale="public",
    ),
    Item(
        "public_over_optimisation",
        "",
        "Best-of-N on real models as N grows: what the PRM thinks of its pick, and what it is",
        "over_optimisation",
        chart=scores.over_optimisation,
        voting="prm_max",
        scale="public",
    ),
    Item(
        "public_reward_models",
        "",
        "Reward models on real solutions whose truth is known",
        "public_reward_models",
        table=reward_model_tables.quality,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_discrimination",
        "",
        "Whether reward models tell right solutions from wrong ones",
        "public_reward_models",
        chart=reward_models.discrimination,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_reliability",
        "",
        "Whether a PRM's score of a solution of known truth is the chance of its being right",
        "public_reliability",
        chart=reward_models.reliability,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_ability",
        "Figure 6",
        "Real PRMs: finding wrong steps, and telling right solutions from wrong",
        "public_ability",
        chart=reward_models.ability,
        task_rank=None,
        scale="public",
    ),
    Item(
        "public_voting",
        "Table 2",
        "Voting methods on real models, against majority voting",
        "public_voting",
        table=voting.against_majority,
        aggregated=False,
        scale="public",
    ),
    *_with_numbers(
        Item(
            "printed_optscale_curves",
            "",
            "What another paper prints: best-of-N and majority voting with a reasoning policy",
            "printed_optscale",
            chart=optscale.curves,
            task_rank=None,
            aggregated=False,
            intervals=False,
            scale="printed",
        ),
        "printed_optscale",
        optscale_tables.curves,
    ),
    Item(
        "public_collections",
        "",
        "Collections of rollouts that others published: what was read, used and left out",
        "public_collections",
        table=rollouts.collections,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "public_sources",
        "",
        "The files behind every number on real models",
        "public_sources",
        table=rollouts.sources,
        task_rank=None,
        aggregated=False,
        scale="public",
    ),
    Item(
        "bucket_accuracy",
        "",
        "Accuracy by difficulty, with that uncertain taken into account",
        "bucket_accuracy",
        table=difficulty.by_bucket,
        task_rank=None,
    ),
    Item(
        "predicted_difficulty",
        "",
        "Strategies chosen by predicted difficulty against other ways to choose",
        "predicted_difficulty",
        chart=prediction.regret,
    ),
    Item(
        "predicted_difficulty_numbers",
        "",
        "Strategies chosen by predicted difficulty against other ways to choose",
        "predicted_difficulty",
        table=prediction_tables.predicted,
    ),
    Item(
        "adaptive_budgets",
        "",
        "Accuracy against the samples that are drawn, where drawing stops early",
        "adaptive_budgets",
        chart=prediction.stopping,
    ),
    Item(
        "adaptive_budgets_numbers",
        "",
        "What it saves to stop drawing early",
        "adaptive_budgets",
        table=prediction_tables.stopping,
    ),
    Item(
        "table_1",
        "Table 1",
        "Tokens per response and step",
        "table_1",
        table=score_tables.lengths,
    ),
    Item(
        "grader_sensitivity",
        "",
        "How much depends on the grader",
        "grader_sensitivity",
        table=graders.own,
        task_rank=None,
        aggregated=False,
    ),
    Item(
        "provenance",
        "",
        "How each number was made: specifications, versions and seeds",
        "provenance",
        table=provenance.cells,
        task_rank=None,
        aggregated=False,
    ),
    Item(
        "table_2",
        "Table 2",
        "Voting methods",
        "table_2",
        table=paper.voting_methods,
        aggregated=False,
    ),
    Item(
        "table_3",
        "Table 3",
        "Small policies with compute-optimal TTS against large ones with CoT",
        "table_3",
        table=frontier.against_large_models,
        task_rank=None,
    ),
    Item(
        "table_4",
        "Table 4",
        "FLOPs of small policies with compute-optimal TTS and of large ones with CoT",
        "table_4",
        table=compute.flops,
    ),
    Item(
        "table_5",
        "Table 5",
        "Compute-optimal TTS against CoT and majority voting",
        "table_5",
        table=paper.compute_optimal_gains,
    ),
    Item(
        "table_6",
        "Table 6",
        "Compute-optimal TTS with each PRM against policies that think at length",
        "table_6",
        table=frontier.against_long_thinking,
        task_rank=None,
    ),
    Item(
        "prm_ability",
        "",
        "PRMs against the exact check of every step",
        "prm_failures",
        table=prms.failures,
        aggregated=False,
        checks_steps=True,
    ),
    Item(
        "table_7",
        "Tables 7 and 8",
        "The prompts in use",
        "prompts",
        table=prompts.prompts,
        task_rank=None,
        aggregated=False,
        nothing="none",
    ),
)


def item_named(name: str) -> Item:
    """The entry called ``name``; raises ``StudyError`` if there is none."""
    for item in ITEMS:
        if item.name == name:
            return item
    raise StudyError(
        f"there is no figure or table called {name}",
        cure=f"take one of {', '.join(item.name for item in ITEMS)}",
    )
