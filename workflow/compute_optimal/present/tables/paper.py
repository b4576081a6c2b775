"""Tables 2 and 5, the overview of the policies, and what the cells cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from compute_optimal.present import style
from compute_optimal.present.query import Row
from compute_optimal.present.tables.gains import Gains, gains_of
from compute_optimal.present.tables.model import (
    MARK,
    TIES,
    Cell,
    Column,
    Compared,
    Estimate,
    Printed,
    Table,
    percent_of,
)
from compute_optimal.study.buckets import BUCKETS

_DIFFICULTIES = (*BUCKETS, "all", "unknown")
_RULES = {
    "majority": "Majority",
    "prm_min prm_max": "PRM-Min-Max",
    "prm_min prm_vote": "PRM-Min-Vote",
    "prm_last prm_max": "PRM-Last-Max",
    "prm_last prm_vote": "PRM-Last-Vote",
    "prm_avg prm_max": "PRM-Avg-Max",
    "prm_avg prm_vote": "PRM-Avg-Vote",
}


def compute_optimal_gains(rows: Sequence[Row], title: str) -> Table:
    """Table 5, a row per policy: CoT, majority voting, compute-optimal TTS and both gains, beside
    printed values."""
    policies = [
        gains_of(list(of_policy)) for _, of_policy in groupby(rows, key=lambda row: row["policy"])
    ]
    columns = [
        Column("policy", "Policy"),
        Column("parameters", "Size", "number", form="parameters"),
        Column("problems", "Problems", "number", digits=0),
        Column("prm", "PRM"),
        Column("compute_optimal_budget_samples", "N", "number", digits=0),
        Column("cot_percent", "CoT (%)", "compared"),
        Column("majority_percent", "Majority (%)", "compared"),
        Column("majority_budget_samples", "at N", "number", digits=0),
        Column("compute_optimal_percent", "Compute-optimal (%)", "compared"),
        Column("performance_gain_percent", "Performance gain (%)", "compared"),
        Column("efficiency_gain_times", "Efficiency gain", "compared", suffix="×", bounds=True),
        Column("strategy", "Strategy by difficulty"),
    ]
    notes = [
        "In brackets: intervals over problems; those of compute-optimal TTS and of the gains "
        "keep the chosen strategy and so do not show that it was chosen on the same problems. "
        "Performance gain: (compute-optimal − CoT) / CoT. Efficiency gain: the budget at which "
        "majority voting is best over the budget at which compute-optimal TTS is as good; "
        "> and < mark bounds."
    ]
    if any(gains.is_tied for gains in policies):
        notes.append(TIES)
    if any(gains.printed for gains in policies):
        notes.append(
            f"{MARK} as the paper prints it in Table 5, else in Table 3, with the difference of "
            "this study from it and whether it lies inside the interval, unless N, the PRM or the "
            "problems differ."
        )
    return Table(title, columns, [_gains_row(gains) for gains in policies], notes)


def _gains_row(gains: Gains) -> list[Cell]:
    def compared(measure: str, estimate: Estimate | str | None) -> Cell:
        printed = gains.printed.get(measure)
        if isinstance(estimate, str):
            return estimate
        return Compared(estimate, printed, gains.unlike(measure))

    return [
        gains.policy_title,
        gains.n_parameters,
        gains.n_problems,
        gains.prm_title,
        gains.budget,
        compared("cot", gains.cot),
        compared("majority", gains.majority),
        gains.majority_budget,
        compared("compute_optimal", gains.compute_optimal),
        compared("performance_gain", gains.performance_gain),
        compared("efficiency_gain", gains.efficiency_gain),
        _strategy(gains.chosen),
    ]


def _strategy(chosen: Mapping[str, Sequence[str]]) -> str | None:
    """The chosen methods by difficulty: "easy, medium: best-of-N; hard: beam search or DVTS"."""
    names = {
        name: " or ".join(style.METHODS[method].short for method in chosen[name])
        for name in _DIFFICULTIES
        if name in chosen
    }
    parts = [
        f"{', '.join(name for name, _ in group)}: {methods}"
        for methods, group in groupby(names.items(), key=lambda item: item[1])
    ]
    return "; ".join(parts) or None


def voting_methods(rows: Sequence[Row], title: str) -> Table:
    """Table 2: a row per policy, method, N and rule, a column per PRM, and the paper's rows
    below."""
    prms = {row["prm"]: row["prm_title"] for row in rows if row["prm"] is not None}
    columns = [
        Column("policy", "Policy"),
        Column("method", "Method"),
        Column("budget_samples", "N", "number", digits=0),
        Column("rule", "Rule"),
        *(Column(f"{prm}_percent", f"{name} (%)", "compared") for prm, name in prms.items()),
    ]
    body: list[list[Cell]] = []
    studied = [row for row in rows if row["policy"] is not None]
    for _, of_policy in groupby(studied, key=lambda row: (row["policy"], row["method"])):
        cells = [*of_policy]
        budgets = sorted({row["budget"] for row in cells} - {None})
        for budget in budgets or [None]:
            of_budget = [row for row in cells if row["budget"] == budget]
            for rule, name in _RULES.items():
                by_prm = {row["prm"]: row for row in of_budget if row["rule"] == rule}
                body.append(
                    [
                        cells[0]["policy_title"],
                        style.METHODS[cells[0]["method"]].short,
                        budget,
                        name,
                        *(Compared(percent_of(by_prm.get(prm)), None) for prm in prms),
                    ]
                )
    printed = {
        (row["prm"], row["rule"]): Printed.parse(row["printed"]) for row in rows if row["printed"]
    }
    notes = ["In brackets: intervals over problems."]
    if printed:
        notes.append(f"{MARK} as the paper prints it, which names no policy, method or budget.")
        for rule, name in _RULES.items():
            values = [printed.get((prm, rule)) or "not printed" for prm in prms]
            body.append(["the paper", "not named", "not named", name, *values])
    return Table(title, columns, body, notes)


def overview(rows: Sequence[Row], title: str) -> Table:
    """What has been run: accuracy of one sample, difficulty, tokens and origin, per task and
    policy."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("parameters", "Size", "number", form="parameters"),
        Column("origin", "Origin"),
        Column("problems", "Problems", "number", digits=0),
        Column("problems_of_task", "of", "number", digits=0),
        Column("greedy_percent", "CoT, greedy (%)", "estimate"),
        Column("pass_at_1_percent", "Pass@1, sampled (%)", "estimate"),
        Column("samples_per_problem", "Samples", "number", digits=0),
        Column("easy_problems", "Easy", "number", digits=0),
        Column("medium_problems", "Medium", "number", digits=0),
        Column("hard_problems", "Hard", "number", digits=0),
        Column("tokens_per_sample", "Tokens per sample", "number"),
        Column("cut_short_percent", "Cut short (%)", "number"),
        Column("without_answer_percent", "No answer (%)", "number"),
        Column("timed_out_percent", "Not graded in time (%)", "number"),
    ]
    limits = [
        f"from {100 * row[name]:.4g}%" for row in rows[:1] for name in ("easy_from", "medium_from")
    ]
    return Table(
        title,
        columns,
        [_overview_row(row) for row in rows],
        [
            "Pass@1: mean over the samples of the evaluation, with an interval over problems. "
            "Easy, medium, hard: problems by the policy's own Pass@1 "
            f"({', '.join([*limits, 'below'])}), "
            "measured on samples that the evaluation does not use where the study has them. Cut "
            "short: samples that reached the token limit."
        ],
    )


def _overview_row(row: Row) -> list[Cell]:
    return [
        row["task_title"],
        row["policy_title"],
        row["n_parameters"],
        row["origin"],
        row["n_problems"],
        row["n_problems_of_task"],
        percent_of(row, "greedy", "greedy_low", "greedy_high"),
        percent_of(row, "sampled", "sampled_low", "sampled_high"),
        row["samples_per_problem"],
        row["n_easy"],
        row["n_medium"],
        row["n_hard"],
        row["tokens_per_sample"],
        # Adopted rollouts may not say how their samples ended.
        "not recorded"
        if row["cut_short"] is None and row["samples_per_problem"] is not None
        else style.percent(row["cut_short"]),
        style.percent(row["without_answer"]),
        style.percent(row["timed_out"]),
    ]


def cost_ledger(rows: Sequence[Row], title: str) -> Table:
    """What generation cost, per task, policy, kind of cell, method and N, summed over PRMs."""
    columns = [
        Column("task", "Task"),
        Column("policy", "Policy"),
        Column("what", "Work"),
        Column("prms", "PRMs", "number", digits=0),
        Column("generated_tokens", "Generated tokens", "number", digits=0),
        Column("shared_percent", "Shared (%)", "number"),
        Column("discarded_percent", "Discarded (%)", "number"),
        Column("prompt_tokens_computed", "Prompt tokens computed", "number", digits=0),
        Column("prompt_tokens_cached_percent", "Prompt from cache (%)", "number"),
        Column("prm_tokens_computed", "PRM tokens computed", "number", digits=0),
        Column("prm_shared_percent", "PRM shared (%)", "number"),
        Column("prm_tokens_cached_percent", "PRM from cache (%)", "number"),
        Column("policy_seconds", "Policy engine (s)", "number"),
        Column("prm_seconds", "PRM engine (s)", "number"),
        Column("seconds", "In all (s)", "number"),
    ]
    return Table(
        title,
        columns,
        [_cost_row(row) for row in rows],
        [
            "Tokens are counted, not estimated, and are what each sample, score and search would "
            "cost on its own; but prompts of what is shared count as read from the cache. "
            "Shared: what of it cost nothing, because another had asked for the "
            "same (an earlier search; an equal sample, which is scored once). Seconds are wall "
            "time without loading models, on the machine that generated, as it was spent: what is "
            "shared took none. Discarded: generated for "
            "steps that no answer contains. From cache: share of all prompt or PRM input tokens "
            "that were read from the prefix "
            "cache. PRMs: cells of how many PRMs are summed. All that is stored of a cell counts, "
            "also samples and subtrees beyond this study's largest N."
        ],
    )


def _cost_row(row: Row) -> list[Cell]:
    def share(part: int, whole: int) -> Cell:
        return 100 * part / whole if whole else "none"

    def cached(kind: str) -> Cell:
        computed, read = row[f"{kind}_tokens_computed"], row[f"{kind}_tokens_cached"]
        return share(read, computed + read)

    if row["kind"] == "searches":
        work = style.METHODS[row["method"]].short
        if row["budget"] is not None:
            work += f", N = {row['budget']:,}"
    elif row["kind"] == "step_scores":
        work = "scores of samples"
    else:
        pools = {"cot": "CoT, greedy", "majority": "samples"}
        work = pools.get(row["method"], "samples for difficulty")
    return [
        row["task_title"],
        row["policy_title"],
        work,
        row["n_prms"],
        row["generated_tokens"],
        share(row["shared_tokens"], row["generated_tokens"]),
        share(row["discarded_tokens"], row["generated_tokens"]),
        row["prompt_tokens_computed"],
        cached("prompt"),
        row["prm_tokens_computed"],
        share(row["prm_tokens_shared"], row["prm_tokens_computed"]),
        cached("prm"),
        *(
            "not measured" if row[name] is None else row[name]
            for name in ("policy_seconds", "prm_seconds", "seconds")
        ),
    ]
