"""Files of a store that are not what they were: one message that names them, from every command."""

from __future__ import annotations

import os
import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
import yaml
from default_study import POLICIES, PRM, ROOT, TASK
from drawn_cases import every_third
from searched_study import content_of, run_study

from compute_optimal import cli
from compute_optimal.ship.expected import write_expected
from compute_optimal.store.partitions import sha256_of
from compute_optimal.study.config import load_study
from compute_optimal.study.plan import StudyPlan, for_snakemake

Damage = Callable[[Path], None]


def cut(share: float) -> Damage:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def flipped(share: float) -> Damage:
    def damage(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[min(len(content) - 1, int(share * len(content)))] ^= 0xFF
        path.write_bytes(content)

    return damage


def other_columns(path: Path) -> None:
    path.unlink()
    pl.DataFrame({"x": [1]}).write_parquet(path)


def other_table(path: Path) -> None:
    """Not damaged: its name carries the hash of its bytes."""
    other_columns(path)
    path.rename(path.with_name(f"{path.name.rpartition('-')[0]}-{sha256_of(path)[:16]}.parquet"))


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def folder_with_a_file(path: Path) -> None:
    content = path.read_bytes()
    folder_instead(path)
    (path / "part.parquet").write_bytes(content)


def dangling_link(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


DAMAGES: dict[str, Damage] = {
    "empty": cut(0),
    **{f"cut at {share}": cut(share) for share in (0.01, 0.5, 0.99)},
    # The schema is at the end.
    **{f"flipped at {share}": flipped(share) for share in (0, 0.5, 0.8, 0.9, 1)},
    "other columns": other_columns,
    "other table": other_table,
    "folder": folder_instead,
    "folder with a file": folder_with_a_file,
    "dangling link": dangling_link,
    "no permission": lambda path: path.chmod(0),
}


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Run once: a folder with a study's own store and the same published."""
    folder = tmp_path_factory.mktemp("study")
    with pytest.MonkeyPatch.context() as patch:
        run_study(folder, patch)
        (folder / "study.yaml").write_text(yaml.safe_dump(content_of(folder)))
        command = ["publish", "--config", str(folder / "study.yaml"), "--to", str(folder / "there")]
        assert cli.main(command) == 0
        yield folder


def parts_of(store: Path) -> dict[str, Path]:
    """One part of each kind and table of a store."""
    parts = {}
    for path in sorted(store.rglob("*.parquet")):
        parts[f"{path.relative_to(store).parts[0]}/{path.name.rpartition('-')[0]}"] = path
    return parts


@dataclass(frozen=True)
class Case:
    """A working copy of the stores, with a study that reads one of them."""

    folder: Path
    config: Path
    store: Path

    @classmethod
    def of(cls, stores: Path, folder: Path, *, published: bool) -> Case:
        shutil.copytree(stores, folder)
        config, kind = folder / "study.yaml", "there" if published else "store"
        read, unused = str(folder / kind), str(folder / "none")
        named = {"writable": unused, "shipped": read} if published else {"writable": read}
        store = {"shipped": unused, **named}
        content = content_of(folder) | {"generate": "never", "store": store}
        config.write_text(yaml.safe_dump(content))
        write_expected({"tables/x.csv": b"x\n1\n"}, folder / "expected" / content["name"])
        return cls(folder, config, folder / kind)

    def commands(self) -> Iterator[list[str]]:
        """What Snakemake runs up to the database, and what people run."""
        plan = StudyPlan(load_study(self.config))
        cell: Any = SimpleNamespace(origin="run", task=TASK, policy=POLICIES[0], prm=PRM)
        storage, out = plan.storage.split(), self.folder / "out-000000000000"
        problems, answers = plan.task_table(cell), plan.answer_table(cell)
        judged = ["--problems", problems]
        for verb, spec, *options in (
            ("prepare-problems", plan.problems(cell), "--output", f"{out}.parquet"),
            ("draw-samples", plan.samples(cell), "--output", f"{out}.json"),
            ("score-steps", plan.scores(cell), "--output", f"{out}.json"),
            ("search-trees", plan.searches(cell), "--output", f"{out}.json"),
            ("grade-answers", plan.answers(cell), *judged, "--output", f"{out}.parquet"),
            ("check-steps", plan.checks(cell), "--steps", f"{out}.s", "--pruning", f"{out}.p"),
            (
                *("estimate-accuracy", plan.estimates(cell), *judged, "--answers", answers),
                *(
                    "--outputs",
                    *(f"{self.folder}/{Path(f).name}" for f in plan.estimate_tables[1:]),
                ),
            ),
        ):
            yield [verb, "--spec", spec, *options, *storage]
        tables = [*plan.problem_tables, *plan.estimate_tables]
        described = next((self.folder / "results").glob("study-*.json"))
        yield [
            *("build-database", "--study", str(described), "--tables", *tables, *storage),
            *("--published", "data/published/paper.csv"),
            *("--pretraining", "data/published/pretraining.csv"),
            *("--processbench", "data/published/processbench.csv"),
            *("--optscale", "data/published/optscale.csv"),
            *("--output", f"{self.folder}/new.duckdb"),
        ]
        of_study = ["--config", str(self.config)]
        yield ["plan", *of_study]
        yield ["publish", *of_study, "--to", str(self.folder / "elsewhere")]
        yield ["fetch", *of_study, "--from", str(self.folder / "there")]
        yield ["verify", *of_study, "--tier", "0", "--expected", str(self.folder / "expected")]

    def snakemakes_questions(self) -> None:
        """What a dry run asks, and the start of a run."""
        place: Any = SimpleNamespace(origin="run", task=TASK, policy=POLICIES[0], prm=PRM)
        plan = for_snakemake(
            SimpleNamespace(  # type: ignore[arg-type]
                configfiles=[self.config],
                config_settings=SimpleNamespace(config_args=["budgets=[4, 16]"]),
                global_resources={},
                remote_exec=False,
            )
        )
        plan.run_receipts(place)
        plan.gpus("searches")(place)
        plan.announce()


def all_that_went_wrong(case: Case, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Command -> what it said, for each that failed."""
    said = {}
    for command in case.commands():
        capsys.readouterr()
        if cli.main(command):
            said[command[0]] = capsys.readouterr().err
    try:
        case.snakemakes_questions()
    except SystemExit as end:
        said["snakemake"] = str(end.code)
    return said


@pytest.mark.parametrize("published", [False, True], ids=["own", "published"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_of_every_part_is_one_message(
    damage: str,
    published: bool,
    stores: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    if damage == "no permission" and os.geteuid() == 0:
        pytest.skip("root may read everything")
    parts = [*parts_of(stores / ("there" if published else "store"))]
    for number, name in enumerate(every_third(parts, [*DAMAGES].index(damage) + published)):
        case = Case.of(stores, tmp_path / str(number), published=published)
        part = parts_of(case.store)[name]
        DAMAGES[damage](part)
        said = all_that_went_wrong(case, capsys)
        for command, text in said.items():
            assert text.count("error: ") == 1, (name, command, text)
            assert "Traceback" not in text, (name, command, text)
            assert "  do:    " in text, (name, command, text)
            assert part.parent.name in text or command == "verify", (name, command, text)
        if published:
            # It lists all that it found in its page.
            page = (case.folder / "results/verify.html").read_text()
            assert part.parent.name in page, name
            assert "verify" in said, name
        # Draws are read by searches that go on, and none has anything left to do.
        assert said or name.startswith("draws/"), f"nobody saw it: {name}"
        shutil.rmtree(case.folder, ignore_errors=True)


@contextmanager
def full_disk() -> Iterator[None]:
    """Every write to a file fails, as on a full disk, whoever asks: Python, polars or DuckDB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_message_from_every_command(
    stores: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    case = Case.of(stores, tmp_path / "case", published=False)
    tested = []
    for command in case.commands():
        if command[0] in ("plan", "fetch", "check-steps"):
            continue  # write nothing here
        capsys.readouterr()
        with full_disk():
            status = cli.main(command)
        said = capsys.readouterr().err
        assert status == 1, command
        assert said.count("error: ") == 1, said
        assert "cannot " in said, said
        assert "  do:    " in said, said
        tested.append(command[0])
    assert {"search-trees", "grade-answers", "build-database", "publish", "verify"} <= {*tested}
    # There is room again, and nothing was lost.
    assert all_that_went_wrong(case, capsys).keys() <= {"verify"}
