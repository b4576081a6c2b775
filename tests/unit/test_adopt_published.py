"""The printed numbers: read completely, named as in the registry, and consistent."""

import csv
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.analyse.published import (
    OTHER_MODELS,
    OTHER_PRMS,
    PAPER,
    POLICY_NAMES,
    PRM_NAMES,
    load_optscale,
    load_paper,
    load_pretraining,
    load_processbench,
)
from compute_optimal.errors import StudyError
from compute_optimal.study.config.registry import load_registry

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "data" / "published"
PRINTED = load_paper(FOLDER / "paper.csv")
NUMBERS = PRINTED.with_columns(pl.col("value").str.extract(r"([\d.]+(?:e\d+)?)").cast(pl.Float64))
"""A range by its lower end."""
PROCESSBENCH = load_processbench(FOLDER / "processbench.csv")


def test_nothing_is_lost_or_changed() -> None:
    with (FOLDER / "paper.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name in set(PAPER) - {"budget"}:
        assert PRINTED[name].to_list() == [row[name] or None for row in rows]
    budgets = [int(row["budget"]) if row["budget"] else None for row in rows]
    assert PRINTED["budget"].to_list() == budgets
    assert PRINTED.filter(pl.struct(pl.exclude("note")).is_duplicated()).is_empty()


def test_every_name_is_one_of_the_registry_or_known_to_be_none() -> None:
    registry = load_registry(ROOT / "config" / "registry")
    assert set(POLICY_NAMES.values()) <= set(registry.policies)
    assert set(PRM_NAMES.values()) <= set(registry.prms)
    assert set(PRINTED["task"].drop_nulls()) & set(registry.tasks) == {"MATH-500", "AIME24"}

    printed = set(PRINTED["model"].drop_nulls())
    assert printed == set(POLICY_NAMES) | set(OTHER_MODELS)
    assert not set(POLICY_NAMES) & set(OTHER_MODELS)
    prms = set(PRINTED["prm"].drop_nulls()) | set(PROCESSBENCH["prm"])
    assert prms == set(PRM_NAMES) | set(OTHER_PRMS)


def test_every_model_of_the_registry_is_found_where_the_paper_names_it() -> None:
    registry = load_registry(ROOT / "config" / "registry")
    named = set()
    for name in registry.policies:
        for spelling in set(PRINTED["model"]) & {name, name.replace("-Instruct", "-Inst.")}:
            assert POLICY_NAMES[spelling] == name
            named.add(name)
    # The ten instruct policies, one for maths and two distilled ones.
    assert len(named) == 13
    prms = dict(PROCESSBENCH.select("prm", "registry_prm").iter_rows())
    assert {name: prms[name] for name in registry.prms if name in prms} == {
        name: name for name in prms
    }


def test_averages_are_those_of_the_printed_numbers() -> None:
    """Table 6's row with a 7B PRM is the one exception; data/published/README.md names it."""
    wide = NUMBERS.filter(pl.col("item").is_in(["Table 3", "Table 6"])).pivot(
        "task", index=["item", "model"], values="value"
    )
    difference = (pl.mean_horizontal("MATH-500", "AIME24") - pl.col("Avg")).abs()
    # Half a unit of the last digit, and a rounding error of binary fractions.
    off = wide.filter(difference > 0.05 + 1e-9)
    assert wide.height == 25
    assert off["model"].to_list() == ["Qwen2.5-7B-Inst. w/ 7B PRM (Ours)"]

    f1 = PROCESSBENCH.pivot("subset", index="prm", values="f1")
    mean = pl.mean_horizontal("GSM8K", "MATH", "OlympiadBench", "Omni-MATH")
    assert f1.height == 7
    assert f1.filter((mean - pl.col("Avg")).abs() > 0.05 + 1e-9).is_empty()


def test_gains_over_cot_are_those_of_the_printed_accuracies() -> None:
    table = NUMBERS.filter(pl.col("item") == "Table 5")
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
        ("paper.csv", ",154.6,", ",~154,", "value '~154'"),
        ("paper.csv", ",512,", ",2^9,", r"budget '2\^9'"),
        ("paper.csv", "item,group", "item,panel", "the columns are"),
        ("processbench.csv", ",29.5,", ",n/a,", "f1 'n/a'"),
        ("pretraining.csv", ",9e12,", ",9T,", "training_tokens '9T'"),
        ("pretraining.csv", "model,parameters", "model,params", "the columns are"),
    ],
)
def test_what_cannot_be_read_is_an_error(
    tmp_path: Path, file: str, old: str, new: str, complaint: str
) -> None:
    text = (FOLDER / file).read_text()
    assert old in text
    (tmp_path / file).write_text(text.replace(old, new, 1))
    load = {
        "paper.csv": load_paper,
        "processbench.csv": load_processbench,
        "pretraining.csv": load_pretraining,
    }[file]
    with pytest.raises(StudyError, match=complaint) as caught:
        load(tmp_path / file)
    assert caught.value.where is not None
    assert file in caught.value.where


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="cannot read the published numbers"):
        load_paper(tmp_path / "paper.csv")


def test_curves_of_another_paper_are_read_and_checked(tmp_path: Path) -> None:
    curves = load_optscale(FOLDER / "optscale.csv")
    assert curves.group_by("task", "method").len()["len"].to_list() == [64] * 10
    assert curves["accuracy"].is_between(0, 1).all()
    # One sample is one sample: both methods begin at the same point.
    first = curves.filter(budget=1).group_by("task").agg(pl.col("accuracy", "tokens").n_unique())
    assert first.select("accuracy", "tokens").unique().rows() == [(1, 1)]
    text = (FOLDER / "optscale.csv").read_text()
    for wrong, message in ((",best_of_n,2,", ",best_of_n,many,"), (",majority,3,", ",vote,3,")):
        (tmp_path / "optscale.csv").write_text(text.replace(wrong, message))
        with pytest.raises(StudyError, match="is not understood"):
            load_optscale(tmp_path / "optscale.csv")
