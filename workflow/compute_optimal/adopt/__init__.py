"""Adopt: take rollouts that others made into the study, as facts without their text.

One reader per schema: ``official`` (output folders of the paper's official code),
``search_and_learn`` and ``search_and_learn_lines``, ``openr``, ``zeroeval``, ``qwen_math`` and
``rewardmath``; ``collection`` finds the files and chooses the reader, and the result is an
``Adoption``. A row says what was answered, at which cost, with which step scores, and where that
comes from; the texts stay where they are. Whatever was not adopted, or only in part, is a finding
with its place and reason.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from compute_optimal.store.columns import Column, Columns, common

_Kinds = dict[str, pl.DataType]
_STRING, _INTEGER, _NUMBERS = pl.String(), pl.Int64(), pl.List(pl.Float32())
_CELL: _Kinds = {"task": _STRING, "policy": _STRING, "prm": _STRING, "method": _STRING}
_PROBLEM: _Kinds = {"problem_id": _STRING, "problem_hash": _STRING}
_FACTS: _Kinds = {
    "answer": _STRING,
    "official_answer": _STRING,
    "official_correct": pl.Boolean(),
    "n_answers": _INTEGER,
    "n_tokens": _INTEGER,
    "n_steps": _INTEGER,
    "step_scores": _NUMBERS,
}
_ORIGIN: _Kinds = {
    "source": _STRING,
    "commit": _STRING,
    "archive_sha256": _STRING,
    "member": _STRING,
    "record_sha256": _STRING,
}

SAMPLES = pl.Schema({**_CELL, **_PROBLEM, "sample_index": _INTEGER, **_FACTS, **_ORIGIN})
"""Complete solutions drawn independently (``method`` cot or best_of_n), one a row.

Within one (task, policy, prm, method) the key is (problem_id, sample_index). ``prm`` is null where
none scored. The facts:

- ``answer``: extracted from the text by this study, null where there is none; ``official_answer``:
  by the paper's official code, as its record says or else of a pool's text as that code would,
  "" where it finds none; null of a greedy answer that no such record holds.
- ``official_correct``: the verdict of the official code, or of OpenR's, from which it descends, on
  the majority vote of the record, null where another code ran it; it
  is about the row's own answer where ``n_answers``, the number of answers in the record, is 1.
- ``n_tokens``: tokens generated for this solution, null where unknown; ``n_steps``: its steps.
- ``step_scores``: probabilities as given, one per step; null where no PRM scored the solution, or
  where the scores do not fit its steps (then there is a finding).
- The origin: ``source`` and ``commit`` of the repository (readers leave them null, ``collection``
  fills them); ``archive_sha256``: of the archive or, from the hub, of the parquet file, null where
  files are registered one by one; ``member``: the path in the source, with the row of a file of
  many records; ``record_sha256``: of the record's bytes or, of a parquet row or an item of a JSON
  list, of its JSON with sorted keys.
"""

PATHS = pl.Schema(
    {
        **_CELL,
        "budget": _INTEGER,
        "beam_width": _INTEGER,
        **_PROBLEM,
        "repetition": _INTEGER,
        "subtree": _INTEGER,
        "path": _INTEGER,
        **_FACTS,
        "n_tokens_tree": _INTEGER,
        **_ORIGIN,
    }
)
"""Answers of searches (any ``method`` but cot and best_of_n), one a row; most facts are as in
SAMPLES.

Within one (task, policy, prm) the key is (method, budget, problem_id, repetition, subtree, path).
``budget`` is N, null for dvts, whose subtrees serve every N; ``beam_width`` is M. ``repetition``
numbers runs of the same search from 0: what they give is averaged and shows the run-to-run spread,
and they never add up to a larger budget. ``subtree`` numbers the subtrees of one run of dvts from
0, and is 0 for every other method. ``path`` numbers the answers of one search or subtree.
``n_tokens_tree``: tokens generated in the whole search (of dvts in the subtree), discarded
candidates included; the same on each of its paths; null where unknown.
"""

SOLUTIONS = Columns(
    "Solutions of many authors whose truth is known, as a reward model scored them",
    {
        **common("task"),
        "prm": Column(_STRING, "Reward model that scored the solution"),
        **common("problem_id", "problem_hash"),
        "solution": Column(_INTEGER, "Number of the solution of its problem"),
        "author": Column(_STRING, "Who wrote the solution"),
        "correct": Column(pl.Boolean(), "Whether the solution is right"),
        "n_steps": Column(_INTEGER, "Number of steps"),
        "step_scores": Column(
            _NUMBERS, "PRM's probability for each step, 0 to 1; null for a model of solutions"
        ),
        "outcome_score": Column(
            pl.Float32(), "What a model of whole solutions gave, on its own scale; null for a PRM"
        ),
        **common("source", "commit"),
        "archive_sha256": Column(_STRING, "sha256 of the archive; null where it is none"),
        "member": Column(_STRING, "Path in the source, with the row of a file of many records"),
        "record_sha256": Column(_STRING, "sha256 of the record"),
    },
)
"""The key is (prm, problem_id, solution). One of ``step_scores`` and ``outcome_score`` is null, and
``n_steps`` is null with ``step_scores``."""

TOKENS = pl.Schema(
    {
        "kind": _STRING,
        "method": _STRING,
        "budget": _INTEGER,
        **_PROBLEM,
        "repetition": _INTEGER,
        "subtree": _INTEGER,
        "path": _INTEGER,
        "sample_index": _INTEGER,
        "n_tokens": _INTEGER,
    }
)
"""Tokens of answers whose files do not say them, counted again with the policy's tokenizer: the
solution and one end token. ``kind`` is samples or paths, and the columns between it and
``n_tokens`` are the key there, null where that table has no such column. Of a search this
is the answer alone; what was discarded is unknown."""

FILES = Columns(
    "What each file of a collection held, and how much of it was adopted",
    {
        "path": Column(_STRING, "Path of the file in its source"),
        "sha256": Column(_STRING, "sha256 of the file"),
        "n_records": Column(_INTEGER, "Number of records"),
        "n_used": Column(_INTEGER, "Number of records that were adopted"),
        "n_answers": Column(_INTEGER, "Number of answers"),
        "n_answers_used": Column(_INTEGER, "Number of answers that were adopted"),
    },
)

FINDINGS = pl.Schema(
    {"member": _STRING, "reason": _STRING, "detail": _STRING, "adopted": pl.Boolean()}
)
"""What was found wrong, one thing a row; ``member`` is a file, or a record in one. ``adopted`` is
true where the record is among the facts all the same, without the part that ``detail`` names."""


_SHOWN = 3
"""Findings of one reason that a report of large files shows."""


@dataclass(frozen=True)
class Adoption:
    """Facts of one collection of rollouts, and what was found wrong while reading it.

    ``n_records`` counts adopted records; ``n_companions`` counts files that the official code
    writes beside its records (settings, averages, locks) and that hold no rollout.
    """

    samples: pl.DataFrame
    paths: pl.DataFrame
    findings: pl.DataFrame
    n_records: int
    n_companions: int
    solutions: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SOLUTIONS))
    files: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FILES))
    tokens: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TOKENS))

    def cells(self) -> pl.DataFrame:
        """One row per (task, policy, prm, method, budget, beam_width).

        ``n_runs``: samples, subtrees or searches of a full problem; ``n_problems``: problems with
        at least one; ``n_complete``: problems with all of them; ``n_rows``: answers. ``budget`` and
        ``beam_width`` are null for samples; for dvts ``budget`` is what the subtrees of one
        repetition make up. ``n_repetitions``: of a search, at most; null for samples.
        """
        run = ["repetition", "subtree"]
        searches = _cells(
            self.paths.with_columns(
                # Of dvts, which has no budget of its own.
                pl.col("budget").fill_null(
                    pl.col("beam_width") * (pl.max("subtree").over(*_CELL) + 1)
                )
            ),
            run,
            [*_CELL, "budget", "beam_width"],
        )
        return pl.concat(
            [_cells(self.samples, ["sample_index"], [*_CELL]), searches], how="diagonal"
        ).select(
            *_CELL, "budget", "beam_width", "n_problems", "n_complete", "n_runs", "n_repetitions",
            "n_rows",
        )  # fmt: skip


def _cells(frame: pl.DataFrame, run: list[str], cell: list[str]) -> pl.DataFrame:
    n_runs = pl.struct(run).n_unique().cast(pl.Int64)
    n_repetitions = pl.col(run[0]).n_unique().cast(pl.Int64) if len(run) > 1 else pl.lit(None)
    of_cell = frame.group_by(cell).agg(
        n_runs=n_runs, n_repetitions=n_repetitions.cast(pl.Int64).first()
    )
    of_problem = frame.group_by(*cell, "problem_id").agg(of_problem=n_runs, n_rows=pl.len())
    return (
        of_problem.join(of_cell, on=cell, nulls_equal=True)
        .group_by(*cell, "n_runs", "n_repetitions")
        .agg(
            pl.col("n_rows").sum(),
            n_problems=pl.len(),
            n_complete=(pl.col("of_problem") == pl.col("n_runs")).sum(),
        )
        .sort(cell, nulls_last=True)
    )


def report(adoption: Adoption) -> str:
    """What was adopted, cell by cell, and what was not, by reason: every file of one record by its
    name, of larger files the number of records and the first few. Plain text."""
    lines = [f"{adoption.n_records} records adopted."]
    for cell in adoption.cells().iter_rows(named=True):
        budget = "" if cell["budget"] is None else f" N={cell['budget']} M={cell['beam_width']}"
        runs = {"dvts": "subtrees", "beam_search": "runs"}.get(cell["method"], "samples")
        prm = cell["prm"] or "no PRM"
        lines.append(
            f"  {cell['task']} | {cell['policy']} | {prm} | {cell['method']}{budget}: "
            f"{cell['n_problems']} problems x {cell['n_runs']} {runs}, {cell['n_rows']} answers"
        )
        if short := cell["n_problems"] - cell["n_complete"]:
            lines.append(
                f"    incomplete: fewer {runs} of {short} problem{'s' if short > 1 else ''}"
            )
        if (cell["n_repetitions"] or 1) > 1:
            lines.append(
                f"    {cell['n_repetitions']} repetitions of one search, not a larger budget"
            )
    if adoption.n_companions:
        lines.append(f"{adoption.n_companions} files hold settings, averages or locks.")
    if adoption.solutions.height:
        n_prms = adoption.solutions["prm"].n_unique()
        lines.append(f"{adoption.solutions.height} solutions scored, by {n_prms} reward models.")
    for row in adoption.files.iter_rows(named=True):
        lines.append(
            f"  {_printable(row['path'])}: {row['n_used']} of {row['n_records']} records, "
            f"{row['n_answers_used']} of {row['n_answers']} answers"
        )
    for adopted, title in ((False, "Not adopted"), (True, "Adopted in part")):
        findings = adoption.findings.filter(pl.col("adopted") == adopted)
        # A file of one record is the record; the records of a larger one are counted.
        kind = "record" if adoption.files.height else "file"
        lines.append(f"{title}: {findings.height} {kind if findings.height == 1 else kind + 's'}.")
        for (reason,), group in findings.group_by("reason", maintain_order=True):
            lines.append(f"  {reason}: {group.height}")
            shown = group if kind == "file" else group.head(_SHOWN)
            lines += [
                f"    {_printable(row['member'])}: {_printable(row['detail'])}"
                for row in shown.iter_rows(named=True)
            ]
            if rest := group.height - shown.height:
                lines.append(f"    and {rest} more")
    return "\n".join(lines) + "\n"


def counted(findings: pl.DataFrame) -> pl.DataFrame:
    """Findings by file and reason: path, reason, adopted, n, and the ``detail`` of the first."""
    return (
        findings.with_columns(path=pl.col("member").str.replace(r", row \d+$", ""))
        .group_by("path", "reason", "adopted", maintain_order=True)
        .agg(n=pl.len().cast(pl.Int64), detail=pl.first("detail"))
        .sort("path", "reason", "adopted")
    )


def _printable(text: str) -> str:
    """Names come from strangers: escape what could move the cursor or reorder the line."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
