"""What came out, a sentence or two for each notebook, made from the numbers that it shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from compute_optimal.analyse.differences import ROUNDING
from compute_optimal.present.query import Row, opened, run_query
from compute_optimal.present.style import METHODS, counted, fixed, rounded, signed, significant
from compute_optimal.present.tables.model import escape_markdown
from compute_optimal.study.buckets import BUCKETS

_NOTHING = "This study ran nothing of this itself, or on too few problems."


@dataclass(frozen=True, slots=True)
class Sentence:
    """Text that a notebook shows, all of it escaped."""

    text: str

    def _repr_markdown_(self) -> str:
        return f"**What came out.** {escape_markdown(self.text)}"


def what_came_out(notebook: str, database: Path | str) -> Sentence:
    """The sentence of a notebook, a key of ``SENTENCES``, from the study's database.

    Raises ``StudyError`` where the database is missing or lacks tables.
    """
    with opened(Path(database)):
        return Sentence(SENTENCES[notebook](Path(database)) or _NOTHING)


def _setting(database: Path) -> str:
    rows = [row for row in run_query("overview", database) if row["sampled"] is not None]
    parts = []
    for task, group in groupby(rows, key=lambda row: row["task_title"]):
        ranked = sorted(group, key=lambda row: (row["sampled"], row["policy_title"]))
        ends = [(_percent(row["sampled"]), row["policy_title"]) for row in (ranked[0], ranked[-1])]
        (least, _), (most, _) = ends
        if len(ranked) > 1 and least == most:
            right, of = least, f" for each of {len(ranked):,} policies"
        else:
            right = " to ".join(f"{share} ({title})" for share, title in dict.fromkeys(ends))
            of = ""
        parts.append(f"On {task}, {right} of single samples are right{of}.")
    return " ".join(parts)


def _difficulty(database: Path) -> str:
    parts = []
    rows = run_query("wrong_buckets", database)
    for task, group in groupby(rows, key=lambda row: row["task_title"]):
        of_task = [*group]
        n = sum(row["n_problems"] for row in of_task)
        shares = ", ".join(
            f"{_percent(sum(row[f'n_{name}'] for row in of_task) / n)} {name}" for name in BUCKETS
        )
        wrong = math.fsum(row["wrong"] for row in of_task) / n
        parts.append(
            f"On {task}, over {counted(len(of_task), 'pool', 'pools')}, problems are {shares}; "
            f"{_percent(wrong)} of them are expected in the wrong bucket."
        )
    return " ".join(parts)


_BEST_PRM = " with the PRM that does best on these problems"


def _scaling(database: Path) -> str:
    parts = []
    rows = run_query("sentences/scaling_means", database)
    for task, group in groupby(rows, key=lambda row: row["task_title"]):
        of_task = [*group]
        n, n_of_task = of_task[0]["n_policies"], of_task[0]["n_policies_of_task"]
        if not n:
            parts.append(f"On {task}, no policy has every method at the largest N.")
            continue
        best_prm = _BEST_PRM + (" for each policy" if n > 1 else "")
        reached = ", ".join(
            f"{METHODS[row['method']].label}"
            + (best_prm if row["method"] == "best_of_n" else "")
            + f" {_percent(row['accuracy'])}"
            + (f" (N = {row['budget']:,})" if row["method"] != "cot" else "")
            for row in of_task
        )
        of = _mean_over(n) + (f" of {n_of_task:,}" if n < n_of_task else "")
        parts.append(f"On {task}, {of}: {reached}.")
    return " ".join(parts)


def _prms(database: Path) -> str:
    parts = [
        _gains_of_task(database, task["task"], task["title"])
        for task in run_query("tasks", database)
    ]
    return " ".join(filter(None, parts))


def _gains_of_task(database: Path, task: str, title: str) -> str:
    gains = [
        row
        for row in run_query("prm_gains", database, {**_parameters(database), "task": task})
        if (row["method"], row["bucket"], row["against"]) == ("best_of_n", "all", "majority")
    ]
    first = gains[0]["policy"] if gains else None
    ranked = sorted(
        (row for row in gains if row["policy"] == first), key=lambda row: (row["gain"], row["prm"])
    )
    if not ranked:
        return ""
    n_better = sum(row["ci_low"] > ROUNDING for row in ranked)
    n_worse = sum(row["ci_high"] < -ROUNDING for row in ranked)
    least, most = ranked[0], ranked[-1]
    ends = [
        f"{_points(row['gain'])} with {row['prm_title']}{_ability(row)}" for row in (least, most)
    ]
    of = most["policy_title"] or _mean_over(most["n_policies"])
    return (
        f"On {title}, {of}: at N = {most['budget']:,}, best-of-N does better than majority voting "
        f"with {n_better} of {counted(len(ranked), 'PRM')} and worse with {n_worse}, the whole "
        f"interval considered: {f'from {ends[0]} to {ends[1]}' if len(ranked) > 1 else ends[0]}."
    )


_COMPARED = ("cot", "in_sample", "cross_fitted")
"""Series of Table 3 whose means are compared, of policies that have all of them on as many
problems: others may have asked once on a few that they chose, and many times on all."""


def _compute_optimal(database: Path) -> str:
    found: dict[str, dict[str, dict[str, Row]]] = {}
    for row in run_query("table_3", database, _parameters(database)):
        if row["series"] in _COMPARED and not row["is_beyond"]:
            of_task = found.setdefault(row["task_title"], {})
            of_task.setdefault(row["policy"], {})[row["series"]] = row
    parts = []
    for task, of_task in found.items():
        policies = [
            series
            for series in of_task.values()
            if len(series) == len(_COMPARED)
            and len({row["n_problems"] for row in series.values()}) == 1
        ]
        if policies:
            cot, in_sample, cross_fitted = (
                math.fsum(series[name]["accuracy"] for series in policies) / len(policies)
                for name in _COMPARED
            )
            alone = policies[0]["cot"]["policy_title"]
            of = alone if len(policies) == 1 else _mean_over(len(policies))
            parts.append(
                f"On {task}, {of}: {_percent(cot)} with one greedy answer, "
                f"{_percent(cross_fitted)} with compute-optimal TTS chosen on other problems; "
                f"choosing on the same problems adds {_points(100 * (in_sample - cross_fitted))}."
            )
    return " ".join(parts)


def _costs(database: Path) -> str:
    rows = run_query("cost_ledger", database)
    policy = sum(row["generated_tokens"] or 0 for row in rows)
    if not policy:
        return ""
    prm = sum(row["prm_tokens_computed"] or 0 for row in rows)
    discarded = sum(row["discarded_tokens"] or 0 for row in rows)
    seconds = math.fsum(row["seconds"] or 0 for row in rows)
    return (
        f"All that is stored took {_tokens(policy)} of the policies, "
        f"{_percent(discarded / policy)} of them for steps that no answer contains, and "
        f"{_tokens(prm) if prm else 'none'} of the PRMs, each unit on its own. What units have in "
        f"common was computed once: the engines took {_duration(seconds)}."
    )


def _tokens(n: int) -> str:
    return f"{rounded(n / 1e6):,.1f} million tokens" if n >= 1e6 else counted(n, "token")


def _duration(seconds: float) -> str:
    for unit, size in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{rounded(seconds / size):,.1f} {unit}"
    return f"{significant(seconds, 2)} seconds"


_SCALES = {
    "public": "on public rollouts of real models",
    "printed": "among the paper's printed numbers",
    "paper": "on the paper's own models",
    "study": "on the study's own models",
}


def _verdicts(database: Path) -> str:
    parts = []
    rows = run_query("sentences/verdict_counts", database)
    for scale, group in groupby(rows, key=lambda row: row["scale"]):
        counts = ", ".join(f"{row['n_claims']} {row['verdict']}" for row in group)
        parts.append(f"{_SCALES[scale]}: {counts}")
    return f"Claims {'; '.join(parts)}." if parts else ""


SENTENCES: Mapping[str, Callable[[Path], str]] = {
    "01_setting": _setting,
    "02_difficulty": _difficulty,
    "03_scaling": _scaling,
    "04_prms": _prms,
    "05_compute_optimal": _compute_optimal,
    "06_costs": _costs,
    "07_verdicts": _verdicts,
}


def _parameters(database: Path) -> dict[str, str | float]:
    """Parameters of queries on the study's first task under its own aggregation."""
    (settings,) = run_query("settings", database)
    tasks: Sequence[Row] = run_query("tasks", database)
    task = tasks[0]["task"] if tasks else ""
    return {"task": task, "scoring": settings["scoring"], "voting": settings["voting"]}


def _percent(share: float) -> str:
    return f"{fixed(100 * share)}%"


def _points(value: float) -> str:
    return f"{signed(value, 0.0)} points"


def _mean_over(n_policies: int) -> str:
    return (
        "one policy"
        if n_policies == 1
        else f"the mean over {counted(n_policies, 'policy', 'policies')}"
    )


def _ability(row: Row) -> str:
    return "" if row["f1"] is None else f" (F1 {fixed(row['f1'])})"
