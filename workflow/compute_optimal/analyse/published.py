"""The numbers that the paper and its authors printed (``data/published``), with types and names.

The files keep what was printed, word for word; this module reads the numbers and says which
registry entries the printed names stand for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import polars as pl

from compute_optimal.errors import StudyError
from compute_optimal.store.columns import COUNT, REAL, TEXT, Column, Columns, common

POLICY_NAMES: Mapping[str, str] = {
    **{f"{name}-Inst.": f"{name}-Instruct" for name in (
        "Llama-3.2-1B", "Llama-3.2-3B", "Llama-3.1-8B",
        *(f"Qwen2.5-{size}B" for size in ("0.5", "1.5", "3", "7", "14", "32", "72")),
        "Qwen2.5-Math-7B",
    )},
    "Llama-3.2-1B-Inst. (N=512)": "Llama-3.2-1B-Instruct",
    "Llama-3.2-3B-Instruct": "Llama-3.2-3B-Instruct",
    "Qwen2.5-72B-Instruct": "Qwen2.5-72B-Instruct",
    "Qwen2.5-7B-Inst. w/ 7B PRM (Ours)": "Qwen2.5-7B-Instruct",
    "Qwen2.5-7B-Inst. w/ 72B PRM (Ours)": "Qwen2.5-7B-Instruct",
    "DeepSeek-R1-Distill-1.5B": "DeepSeek-R1-Distill-Qwen-1.5B",
    "DeepSeek-R1-Distill-7B": "DeepSeek-R1-Distill-Qwen-7B",
    "DeepSeek-R1-Distill-Qwen-1.5B": "DeepSeek-R1-Distill-Qwen-1.5B",
    "DeepSeek-R1-Distill-Qwen-7B": "DeepSeek-R1-Distill-Qwen-7B",
}  # fmt: skip
"""Names in the column ``model`` -> names of policies in the registry."""

OTHER_MODELS: Collection[str] = frozenset(
    {
        "GPT-4o", "o1-preview", "o1-mini", "o1", "DeepSeek-R1", "QwQ-32B-Preview",
        "Llama-3.1-70B-Inst.", "Llama-3.1-405B-Inst.", "Llama-3.1-405B-Instruct",
        "rStar-Math-7B", "Eurus-2-7B-PRIME", "Qwen2.5-7B-SimpleRL-Zero", "Qwen2.5-7B-SimpleRL",
        "Satori-Qwen-7B",
        "Llama-3.2-3B-Instruct vs 405B",  # a ratio of two models
        "Mistral-PRM-Data", "Deepseek-PRM-Data",  # Table 1: training sets
    }
)  # fmt: skip
"""Names in the column ``model`` that the paper compares with and nobody here runs."""

PRM_NAMES: Mapping[str, str] = {
    **{name: name for name in (
        "Math-Shepherd-PRM-7B", "RLHFlow-PRM-Mistral-8B", "RLHFlow-PRM-Deepseek-8B",
        "Skywork-PRM-1.5B", "Skywork-PRM-7B", "Qwen2.5-Math-PRM-7B", "Qwen2.5-Math-PRM-72B",
    )},
    "72B PRM": "Qwen2.5-Math-PRM-72B",  # the only one of that size
}  # fmt: skip
"""Names in the columns ``prm`` -> names of PRMs in the registry."""

OTHER_PRMS: Collection[str] = frozenset(
    {"all 7 PRMs", "RLHFlow-PRM-Deepseek-8B vs -Mistral-8B", "7B PRM"}
)
"""Names in the column ``prm`` that stand for several PRMs; Table 6 does not say which 7B PRM."""

PAPER = Columns(
    "Numbers that the paper prints, one a row",
    {
        "item": Column(TEXT, "Figure, table or section that it stands in"),
        "group": Column(TEXT, "Heading of its rows, panel of the figure, or claim for the text"),
        "model": Column(TEXT, "Model or set of training data, as it is printed"),
        "params": Column(TEXT, "Parameters, in billions (1.5B); unk where the maker is silent"),
        "method": Column(TEXT, "Method or voting, as it is printed"),
        "prm": Column(TEXT, "Process reward model, as it is printed"),
        "budget": Column(COUNT, "Budget N: solutions per problem"),
        "task": Column(TEXT, "Task, or what else the number is about"),
        "metric": Column(TEXT, "What was measured"),
        "value": Column(TEXT, "The number as it is printed, in the unit of the column unit"),
        "unit": Column(TEXT, "Unit of value: % (0 to 100), tokens, FLOP, x (a ratio) or null"),
        "note": Column(TEXT, "What to know before the number is used"),
        "source": Column(TEXT, "How it was read"),
    },
)
PRETRAINING = Columns(
    "What models were trained on, as their makers say",
    {
        "model": Column(TEXT, "Model, as the paper prints it"),
        "parameters": Column(REAL, "Number of parameters"),
        "active_parameters": Column(REAL, "Number of parameters that a token uses, if not all"),
        "training_tokens": Column(REAL, "Number of tokens of pretraining"),
        **common("source"),
    },
)
PROCESSBENCH = Columns(
    "Published F1 of PRMs on ProcessBench",
    {
        "prm": Column(TEXT, "Process reward model, as the paper prints it"),
        "subset": Column(TEXT, "Subset of ProcessBench; Avg is their mean"),
        "f1": Column(REAL, "F1 of finding the first wrong step, in percent"),
        **common("n_parameters"),
        "registry_prm": Column(TEXT, "The PRM in the registry; null where it is not there"),
        **common("source"),
    },
)
OPTSCALE = Columns(
    "Curves of another paper (arXiv 2506.22376), one point a row",
    {
        **common("task", "policy", "prm"),
        "method": Column(TEXT, "Method: best_of_n or majority"),
        **common("budget"),
        "accuracy": Column(REAL, "Accuracy of one draw, 0 to 1"),
        "tokens": Column(REAL, "Tokens of all samples of a problem, on average"),
        **common("source"),
    },
)

_PROCESSBENCH = ("prm", "params", "subset", "f1", "source")
_NUMBER = r"\d+(?:\.\d+)?(?:e\d+)?"
_SIZE = r"^\d+(?:\.\d+)?B$"


def load_paper(file: Path) -> pl.DataFrame:
    """The numbers that the paper prints, a table of ``PAPER``.

    Raises ``StudyError`` where the file is missing, has other columns, or holds a number or a model
    name that cannot be read.
    """
    paper = _read(file, tuple(PAPER))
    _check(file, paper, "model", pl.col("model").is_in([*POLICY_NAMES, *OTHER_MODELS]))
    _check(file, paper, "prm", pl.col("prm").is_in([*PRM_NAMES, *OTHER_PRMS]))
    _check(file, paper, "budget", pl.col("budget").str.contains(r"^\d+$"))
    _check(file, paper, "params", pl.col("params").str.contains(rf"{_SIZE}|^unk$"))
    pattern = rf"^(>|about )?{_NUMBER}(-{_NUMBER})?$"
    _check(file, paper, "value", pl.col("value").str.contains(pattern))
    return paper.with_columns(pl.col("budget").cast(pl.Int64))


def load_pretraining(file: Path) -> pl.DataFrame:
    """What models were trained on, a table of ``PRETRAINING``; errors as of ``load_paper``."""
    models = _read(file, tuple(PRETRAINING))
    numbers = [name for name, kind in PRETRAINING.items() if kind == REAL]
    for column in numbers:
        _check(file, models, column, pl.col(column).str.contains(rf"^{_NUMBER}$"))
    return models.with_columns(pl.col(numbers).cast(REAL))


def load_processbench(file: Path) -> pl.DataFrame:
    """Published F1 on ProcessBench, a table of ``PROCESSBENCH``; errors as of ``load_paper``."""
    processbench = _read(file, _PROCESSBENCH)
    _check(file, processbench, "prm", pl.col("prm").is_in(list(PRM_NAMES)))
    _check(file, processbench, "f1", pl.col("f1").str.contains(rf"^{_NUMBER}$"))
    _check(file, processbench, "params", pl.col("params").str.contains(_SIZE))
    billions = pl.col("params").str.strip_suffix("B").cast(pl.Float64)
    return processbench.with_columns(
        pl.col("f1").cast(pl.Float64),
        n_parameters=(billions * 1e9).round().cast(pl.Int64),
        registry_prm=pl.col("prm").replace_strict(PRM_NAMES, default=None, return_dtype=pl.String),
    ).select(*PROCESSBENCH)


def load_optscale(file: Path) -> pl.DataFrame:
    """Curves of another paper, a table of ``OPTSCALE``; errors as of ``load_paper``."""
    curves = _read(file, tuple(OPTSCALE))
    _check(file, curves, "method", pl.col("method").is_in(["best_of_n", "majority"]))
    _check(file, curves, "policy", pl.col("policy").is_in([*POLICY_NAMES.values()]))
    _check(file, curves, "prm", pl.col("prm").is_in([*PRM_NAMES.values()]))
    _check(file, curves, "budget", pl.col("budget").str.contains(r"^[1-9]\d*$"))
    for column in ("accuracy", "tokens"):
        _check(file, curves, column, pl.col(column).str.contains(rf"^{_NUMBER}$"))
    return curves.with_columns(
        pl.col("budget").cast(pl.Int64),
        pl.col("accuracy", "tokens").cast(pl.Float64),
    )


def _read(file: Path, columns: tuple[str, ...]) -> pl.DataFrame:
    """All columns as strings; empty fields are null."""
    try:
        frame = pl.read_csv(file, infer_schema=False, glob=False)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise StudyError(
            f"cannot read the published numbers: {error}",
            where=str(file),
            cure="restore the file from version control",
        ) from error
    if tuple(frame.columns) != columns:
        raise StudyError(
            f"the columns are {', '.join(frame.columns)}",
            where=str(file),
            cure=f"they should be {', '.join(columns)}; see data/published/README.md",
        )
    return frame


def _check(file: Path, frame: pl.DataFrame, column: str, is_valid: pl.Expr) -> None:
    bad = frame.with_row_index("row").filter(pl.col(column).is_not_null() & ~is_valid)
    if bad.height:
        row = bad.row(0, named=True)
        raise StudyError(
            f"the {column} {row[column]!r} is not understood",
            where=f"{file}, record {row['row'] + 1} below the header",
            cure="mend it, or add a new name to the tables of compute_optimal/analyse/published.py",
        )
