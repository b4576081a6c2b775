"""The numbers that the paper and its authors printed (``data/published``), with types and names.

The files keep what was printed, word for word; this room reads the numbers out of it and says which
registry entries the printed names stand for.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Published:
    """Printed numbers, one a row.

    ``paper``: the columns of paper.csv, where ``printed`` (string) is the printed value and
    ``budget`` an integer, and besides ``value`` (float; the lower end of a range), ``upper``
    (float; the upper end of a range, else null), ``relation`` (equal, above, about or range),
    ``n_parameters`` (integer), ``policy`` and ``registry_prm`` (registry names, else null).

    ``processbench``: prm, subset, f1 (float, percent), n_parameters, registry_prm, source.
    """

    paper: pl.DataFrame
    processbench: pl.DataFrame


def load_published(folder: Path) -> Published:
    """Read paper.csv and processbench.csv of ``folder``.

    Raises ``StudyError`` where a file is missing, has other columns, or holds a number or a model
    name that cannot be read.
    """
    paper_file = folder / "paper.csv"
    paper = _read(paper_file, tuple(PAPER)).rename({"value": "printed"})
    _check(paper_file, paper, "model", pl.col("model").is_in([*POLICY_NAMES, *OTHER_MODELS]))
    _check(paper_file, paper, "prm", pl.col("prm").is_in([*PRM_NAMES, *OTHER_PRMS]))
    _check(paper_file, paper, "budget", pl.col("budget").str.contains(r"^\d+$"))
    _check(paper_file, paper, "params", pl.col("params").str.contains(rf"{_SIZE}|^unk$"))
    pattern = rf"^(?<mark>>|about )?(?<low>{_NUMBER})(?:-(?<high>{_NUMBER}))?$"
    _check(paper_file, paper, "printed", pl.col("printed").str.contains(pattern))
    parts = pl.col("printed").str.extract_groups(pattern).struct
    mark, upper = parts.field("mark"), parts.field("high").cast(pl.Float64)
    paper = paper.with_columns(
        pl.col("budget").cast(pl.Int64),
        value=parts.field("low").cast(pl.Float64),
        upper=upper,
        relation=pl.when(upper.is_not_null())
        .then(pl.lit("range"))
        .otherwise(mark.replace_strict({">": "above", "about ": "about"}, default="equal")),
        n_parameters=_n_parameters(),
        policy=_registered("model", POLICY_NAMES),
        registry_prm=_registered("prm", PRM_NAMES),
    )

    return Published(paper, load_processbench(folder / "processbench.csv"))


def load_processbench(file: Path) -> pl.DataFrame:
    """Published F1 on ProcessBench, as in ``Published.processbench``; errors as above."""
    processbench = _read(file, _PROCESSBENCH)
    _check(file, processbench, "prm", pl.col("prm").is_in(list(PRM_NAMES)))
    _check(file, processbench, "f1", pl.col("f1").str.contains(rf"^{_NUMBER}$"))
    _check(file, processbench, "params", pl.col("params").str.contains(_SIZE))
    return processbench.select(
        "prm",
        "subset",
        pl.col("f1").cast(pl.Float64),
        _n_parameters().alias("n_parameters"),
        _registered("prm", PRM_NAMES).alias("registry_prm"),
        "source",
    )


def load_optscale(file: Path) -> pl.DataFrame:
    """Curves of another paper (arXiv 2506.22376): task, policy, prm, method, budget (integer),
    accuracy (fraction), tokens (of all samples of a problem, mean), source; errors as above."""
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
        frame = pl.read_csv(file, infer_schema=False)
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


def _registered(column: str, names: Mapping[str, str]) -> pl.Expr:
    return pl.col(column).replace_strict(names, default=None, return_dtype=pl.String)


def _n_parameters() -> pl.Expr:
    billions = pl.col("params").str.strip_suffix("B").cast(pl.Float64, strict=False)
    return (billions * 1e9).round().cast(pl.Int64)
