"""The printed numbers: read completely, named as in the registry, and consistent."""

import csv
import shutil
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.analyse.published import (
    OTHER_MODELS,
    OTHER_PRMS,
    POLICY_NAMES,
    PRM_NAMES,
    load_optscale,
    load_published,
)
from compute_optimal.errors import StudyError
from compute_optimal.study.config.registry import load_registry

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "published"
PUBLISHED = load_published(FOLDER)


def one(**where: str | int) -> dict[str, object]:
    conditions = [pl.col(column) == value for column, value in where.items()]
    return PUBLISHED.paper.filter(conditions).row(0, named=True)


def test_nothing_is_lost_or_changed() -> None:
    with (FOLDER / "paper.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert PUBLISHED.paper["printed"].to_list() == [row["value"] for row in rows]
    for row, number in zip(rows, PUBLISHED.paper["value"], strict=True):
        digits = row["value"].removeprefix(">").removeprefix("about ").partition("-")[0]
        assert float(digits) == number
    budgets = [int(row["budget"]) if row["budget"] else None for row in rows]
    assert PUBLISHED.paper["budget"].to_list() == budgets
    assert PUBLISHED.paper.filter(pl.struct(pl.exclude("note")).is_duplicated()).is_empty()


def test_inequalities_approximations_and_ranges() -> None:
    columns = ("value", "upper", "relation")
    for printed, expected in (
        (">256.0", (256.0, None, "above")),
        ("about 2", (2.0, None, "about")),
        ("100-1000", (100.0, 1000.0, "range")),
        ("1.62e23", (1.62e23, None, "equal")),
        ("154.6", (154.6, None, "equal")),
    ):
        row = one(printed=printed)
        assert tuple(row[column] for column in columns) == expected


def test_sizes_and_names() -> None:
    small = one(item="Table 3", model="Llama-3.2-1B-Inst. (N=512)", task="MATH-500")
    assert (small["policy"], small["n_parameters"]) == ("Llama-3.2-1B-Instruct", 1_000_000_000)
    assert (small["budget"], small["value"]) == (512, 72.2)
    unknown = one(item="Table 3", model="GPT-4o")
    assert (unknown["policy"], unknown["n_parameters"]) == (None, None)
    searched = one(item="Table 6", prm="72B PRM")
    assert (searched["policy"], searched["registry_prm"]) == (
        "Qwen2.5-7B-Instruct",
        "Qwen2.5-Math-PRM-72B",
    )
    assert one(item="Table 6", prm="7B PRM")["registry_prm"] is None


def test_every_name_is_one_of_the_registry_or_known_to_be_none() -> None:
    registry = load_registry(ROOT / "config" / "registry")
    assert set(POLICY_NAMES.values()) <= set(registry.policies)
    assert set(PRM_NAMES.values()) <= set(registry.prms)
    assert set(PUBLISHED.paper["task"].drop_nulls()) & set(registry.tasks) == {"MATH-500", "AIME24"}

    printed = set(PUBLISHED.paper["model"].drop_nulls())
    assert printed == set(POLICY_NAMES) | set(OTHER_MODELS)
    assert not set(POLICY_NAMES) & set(OTHER_MODELS)
    prms = set(PUBLISHED.paper["prm"].drop_nulls()) | set(PUBLISHED.processbench["prm"])
    assert prms == set(PRM_NAMES) | set(OTHER_PRMS)


def test_every_model_of_the_registry_is_found_where_the_paper_names_it() -> None:
    registry = load_registry(ROOT / "config" / "registry")
    models = dict(PUBLISHED.paper.select("model", "policy").drop_nulls().iter_rows())
    found = set()
    for name in registry.policies:
        for spelling in models.keys() & {name, name.replace("-Instruct", "-Inst.")}:
            assert models[spelling] == name
            found.add(name)
    # The ten instruct policies, one for maths and two distilled ones.
    assert len(found) == 13
    prms = dict(PUBLISHED.processbench.select("prm", "registry_prm").iter_rows())
    assert {name: prms[name] for name in registry.prms if name in prms} == {
        name: name for name in prms
    }


def test_averages_are_those_of_the_printed_numbers() -> None:
    """Table 6's row with a 7B PRM is the one exception; data/published/README.md names it."""
    wide = PUBLISHED.paper.filter(pl.col("item").is_in(["Table 3", "Table 6"])).pivot(
        "task", index=["item", "model"], values="value"
    )
    difference = (pl.mean_horizontal("MATH-500", "AIME24") - pl.col("Avg")).abs()
    # Half a unit of the last digit, and a rounding error of binary fractions.
    off = wide.filter(difference > 0.05 + 1e-9)
    assert wide.height == 25
    assert off["model"].to_list() == ["Qwen2.5-7B-Inst. w/ 7B PRM (Ours)"]

    f1 = PUBLISHED.processbench.pivot("subset", index="prm", values="f1")
    mean = pl.mean_horizontal("GSM8K", "MATH", "OlympiadBench", "Omni-MATH")
    assert f1.height == 7
    assert f1.filter((mean - pl.col("Avg")).abs() > 0.05 + 1e-9).is_empty()


def test_gains_over_cot_are_those_of_the_printed_accuracies() -> None:
    table = PUBLISHED.paper.filter(pl.col("item") == "Table 5")
    accuracy = table.filter(pl.col("metric") == "accuracy").pivot(
        "method", index="model", values="value"
    )
    gain = table.filter(pl.col("metric") == "performance_gain_over_CoT").select("model", "value")
    joined = accuracy.join(gain, on="model")
    expected = (pl.col("compute-optimal TTS") / pl.col("CoT") - 1) * 100
    assert joined.height == 10
    assert joined.filter((expected - pl.col("value")).abs() > 0.05 + 1e-9).is_empty()


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("paper.csv", ",GPT-4o,", ",GPT-5,", "model 'GPT-5'"),
        ("paper.csv", "Skywork-PRM-7B", "Skywork-8B", "prm 'Skywork-8B'"),
        ("paper.csv", ",154.6,", ",~154,", "printed '~154'"),
        ("paper.csv", ",512,", ",2^9,", r"budget '2\^9'"),
        ("paper.csv", "item,group", "item,panel", "the columns are"),
        ("processbench.csv", ",29.5,", ",n/a,", "f1 'n/a'"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    tmp_path: Path, file: str, old: str, new: str, complaint: str
) -> None:
    for name in ("paper.csv", "processbench.csv"):
        shutil.copy(FOLDER / name, tmp_path)
    text = (tmp_path / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    with pytest.raises(StudyError, match=complaint) as caught:
        load_published(tmp_path)
    assert caught.value.where is not None
    assert file in caught.value.where


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read the published numbers"):
        load_published(tmp_path)


def test_curves_of_another_paper_are_read_and_checked(tmp_path: Path) -> None:
    curves = load_optscale(FOLDER / "optscale.csv")
    assert curves.group_by("task", "method").len()["len"].to_list() == [64] * 10
    assert curves["accuracy"].is_between(0, 1).all()
    # One sample is one sample: both methods begin at the same point.
    first = curves.filter(budget=1).group_by("task").agg(pl.col("accuracy", "tokens").n_unique())
    assert first.select("accuracy", "tokens").unique().rows() == [(1, 1)]
    text = (FOLDER / "optscale.csv").read_text()
    for wrong, told in ((",best_of_n,2,", ",best_of_n,many,"), (",majority,3,", ",vote,3,")):
        (tmp_path / "optscale.csv").write_text(text.replace(wrong, told))
        with pytest.raises(StudyError, match="is not understood"):
            load_optscale(tmp_path / "optscale.csv")
