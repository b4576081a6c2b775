"""What an attacker may do to shipped results, and which tier of the verification finds it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from clones import TASK, TINY, Clone, fresh_clone

from compute_optimal.store.partitions import LAYOUT, MANIFESTS, sha256_of, slug

FIRST, SECOND = map(slug, TINY["policies"])
PRM = slug(*TINY["prms"])
MODEL = f"data/models/{TINY['policies'][1]}/model.safetensors"


@pytest.fixture(scope="module")
def published_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shipped on another kind of processor than what follows runs on: NumPy and its BLAS add in
    another order where a processor has no wide registers."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

    wide = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    older = {"NPY_DISABLE_CPU_FEATURES": wide, "OPENBLAS_CORETYPE": "Prescott"}
    folder = tmp_path_factory.mktemp("published")
    done = fresh_clone(folder).run("compute_optimal", "ship", "--config", "tiny.yaml", **older)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture
def published(published_folder: Path, tmp_path: Path) -> Clone:
    shutil.copytree(published_folder, tmp_path / "clone")
    return Clone(tmp_path / "clone")


def verify(clone: Clone, tier: int) -> subprocess.CompletedProcess[str]:
    return clone.run("compute_optimal", "verify", "--config", "tiny.yaml", "--tier", str(tier))


def part(clone: Clone, kind: str, words: str, table: str) -> Path:
    return next(
        (clone.folder / "data/store" / kind).glob(
            f"{slug(TASK)}{words and '.'}{words}*/{table}-*.parquet"
        )
    )


def doctor(path: Path, change: Callable[[pl.DataFrame], pl.DataFrame]) -> None:
    """Change a shipped part and mend its name and the manifest, as a careful attacker would."""
    frame = change(pl.read_parquet(path))
    path.unlink()
    frame.write_parquet(path)
    new = path.with_name(f"{path.name.split('-')[0]}-{sha256_of(path)[:16]}.parquet")
    path.rename(new)
    root = path.parents[2]
    parts = {}
    for manifest in root.glob(MANIFESTS):
        parts |= json.loads(manifest.read_bytes())["parts"]
        manifest.unlink()
    del parts[path.relative_to(root).as_posix()]
    parts[new.relative_to(root).as_posix()] = {
        "sha256": sha256_of(new),
        "bytes": new.stat().st_size,
        "rows": frame.height,
    }
    (root / "manifest.json").write_text(json.dumps({"layout": LAYOUT, "parts": parts}))


def edit_answers(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(pl.col("text").str.replace(r"\\boxed\{.*\}", r"\boxed{1}"))


def swap_scores(frame: pl.DataFrame) -> pl.DataFrame:
    """Each sample of a problem gets the scores of another one."""
    return frame.with_columns(pl.col("margins", "status").reverse().over("problem_hash"))


def add_sample(frame: pl.DataFrame) -> pl.DataFrame:
    extra = frame.head(1).with_columns(sample_index=pl.lit(999, dtype=pl.Int64))
    return pl.concat([frame, extra])


def test_what_was_published_passes_both_tiers(published: Clone) -> None:
    done = verify(published, tier=1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   curves.csv" in done.stdout
    assert "identical, byte for byte" in (published.folder / "results/verify.html").read_text()


def test_mended_manifests_hide_edits_from_tier_0_but_not_from_tier_1(published: Clone) -> None:
    doctor(part(published, "samples", f"{FIRST}.evaluation", "samples"), edit_answers)
    doctor(part(published, "step_scores", f"{SECOND}.{PRM}", "step_scores"), swap_scores)
    doctor(part(published, "samples", f"{SECOND}.difficulty", "samples"), add_sample)
    assert verify(published, tier=0).returncode == 0
    done = verify(published, tier=1)
    assert done.returncode == 1
    page = (published.folder / "results/verify.html").read_text()
    findings = done.stdout
    for name in ("rows.csv", "answers.csv", "curves.csv", "tables/table_5.csv"):
        assert f"FAIL {name}" in findings
    for words in (f"{FIRST}.evaluation", f"{SECOND}.{PRM}", f"{SECOND}.difficulty"):
        assert words in findings
        assert words in page


def test_a_removed_sample_is_a_missing_cell(published: Clone) -> None:
    path = part(published, "samples", f"{SECOND}.evaluation", "samples")
    doctor(path, lambda frame: frame.filter(pl.col("sample_index") != 1))
    assert verify(published, tier=0).returncode == 0
    done = verify(published, tier=1)
    assert done.returncode == 1
    assert f"{TINY['policies'][1]} / majority N=4" in done.stdout


def no_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """A solution without a score comes last, whatever it says."""
    return frame.with_columns(margins=pl.col("margins").list.eval(pl.element() * float("nan")))


def of_no_problem(frame: pl.DataFrame) -> pl.DataFrame:
    """Costs are means over all units, which these make smaller."""
    extra = frame.head(2).with_columns(problem_hash=pl.lit("feedfeedfeedfeed"))
    return pl.concat([frame, extra])


def cheap(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns(seconds=-pl.col("seconds"), n_tokens=pl.col("n_tokens") // 2)


def test_what_can_not_be_is_named_whatever_follows_from_it(published: Clone) -> None:
    """Whoever ships what follows from it changes no sample and no score by making what policies say
    the right answer: nothing but the task itself tells. Of units, what no engine makes tells."""
    problems = part(published, "problems", "", "problems")
    doctor(problems, lambda frame: frame.with_columns(answer=pl.lit("1")))
    doctor(part(published, "samples", f"{FIRST}.evaluation", "samples"), edit_answers)
    doctor(part(published, "step_scores", f"{SECOND}.{PRM}", "step_scores"), no_numbers)
    doctor(part(published, "samples", f"{SECOND}.difficulty", "samples"), of_no_problem)
    doctor(part(published, "samples", f"{SECOND}.greedy", "samples"), cheap)
    done = published.run("compute_optimal", "ship", "--config", "tiny.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = verify(published, tier=1)
    assert done.returncode == 1
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert failed[0] == f"FAIL problems and right answers of {TASK}"
    assert "such as an engine can have made" in failed[1]
    assert len(failed) == 2
    of_task, of_units = re.split(r"^FAIL ", done.stdout, flags=re.M)[1:]
    assert "chain-" in of_task
    for words in (
        "units with the hash of another text",
        "with scores that are no numbers",
        "2 units of no problem of the task; the first: feedfeedfeedfeed, 0",
        "units with seconds that are no cost",
        "units with tokens that do not add up",
    ):
        assert words in of_units


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def of_store(clone: Clone) -> Path:
    return part(clone, "samples", f"{SECOND}.evaluation", "samples")


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (lambda clone: flip(of_store(clone)), "samples-"),
        (lambda clone: of_store(clone).unlink(), "is missing"),
        (lambda clone: shutil.copy(of_store(clone), of_store(clone).parent / "x.parquet"), "x.par"),
        (lambda clone: (of_store(clone).parent / "spec.json").write_text("{}"), "spec.json"),
        (lambda clone: flip(clone.folder / "data/expected/tiny/tables/table_5.csv"), "table_5"),
        (lambda clone: flip(clone.folder / MODEL), "has changed"),
    ],
    ids=["flipped byte", "lost part", "added part", "edited spec", "edited table", "edited model"],
)  # fmt: skip
def test_tier_0_names_what_was_damaged(
    published: Clone, attack: Callable[[Clone], object], named: str
) -> None:
    attack(published)
    done = verify(published, tier=0)
    assert done.returncode == 1
    assert named in done.stdout
