"""The paper's studies from an empty store to the report, with its models in tiny.

The models lie in the hub's cache as the hub's client leaves them, and nothing else is said of them
than what the registry says of the real ones, but that a CPU runs them in float32, that solutions
are short, and how many parameters they have.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb
import yaml
from published_models import MODELS, WRITTEN, Published, tensors, tiny, write_snapshot
from published_tokenizers import UnavailableError, published_tokenizer
from tiny_paper import of_small_budgets, of_tiny_models
from tiny_tokenizers import save_stand_in
from tokenizers import Tokenizer
from warm_engines import install

from compute_optimal.study.cells import Grid
from compute_optimal.study.config import ModelEntry, load_registry, parse_study

ROOT = Path(__file__).parents[1]
REGISTRY = load_registry(ROOT / "config/registry")


def entry_of(name: str) -> ModelEntry:
    return REGISTRY.policies.get(name) or REGISTRY.prm(name)


@dataclass
class Hub:
    """A cache of the hub that holds tiny models."""

    cache: Path
    tokenizers: Path

    def publish(self, names: Iterable[str]) -> None:
        """Put models into the cache, as if they had been fetched."""
        for name in names:
            entry, real = entry_of(name), MODELS[name]
            repository = self.cache / f"models--{str(entry.hub_id).replace('/', '--')}"
            if repository.exists():
                continue
            tokenizer, _ = self._tokenizer(real.tokenizer)
            model = self.model(name)
            ids = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
            likely: dict[int, float] = {}
            if name in REGISTRY.policies:
                likely = dict.fromkeys(ids.encode(WRITTEN, add_special_tokens=False).ids, 0.0)
                ends = model.config["eos_token_id"]
                likely[ends[-1] if isinstance(ends, list) else ends] = 0.1
            weights = tensors(model, len(name), likely)
            commit = self.commit(name)
            write_snapshot(self.cache, str(entry.hub_id), model, weights, tokenizer, commit)
            reference = repository / "refs" / (entry.revision or "main")
            reference.parent.mkdir(parents=True)
            reference.write_text(commit)

    def model(self, name: str) -> Published:
        """The make of a tiny model."""
        real = MODELS[name]
        folder, is_real = self._tokenizer(real.tokenizer)
        if is_real:
            return tiny(real, real.vocabulary)
        ids = Tokenizer.from_file(str(folder / "tokenizer.json"))
        first, last = ("<s>", "</s>") if real.tokenizer == "mistral" else ("<|bos|>", "<|im_end|>")
        ends = {"bos_token_id": ids.token_to_id(first), "eos_token_id": ids.token_to_id(last)}
        model = tiny(real, ids.get_vocab_size())
        return replace(model, config={**model.config, **ends})

    def commit(self, name: str) -> str:
        """The commit that a tiny model is published under."""
        return f"{list(MODELS).index(name):040x}"

    def _tokenizer(self, name: str) -> tuple[Path, bool]:
        folder = self.tokenizers / name
        stand_in = self.tokenizers / f"{name}-stand-in"
        if not folder.exists() and not stand_in.exists():
            try:
                published_tokenizer(name, folder)
            except UnavailableError:
                shutil.rmtree(folder, ignore_errors=True)
                save_stand_in(name, stand_in)
        return (folder, True) if folder.exists() else (stand_in, False)


@dataclass
class Clone:
    """A copy of the repository without its store, offline, beside the hub's cache."""

    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str, seconds: float = 3000) -> str:
        """A command in the clone; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-6000:]
        return done.stdout


def study_of(name: str) -> dict[str, Any]:
    """A study of this repository as it stands."""
    content: dict[str, Any] = yaml.safe_load((ROOT / f"config/{name}.yaml").read_text())
    return content


def models_of(study: str) -> list[str]:
    """Names of the policies and PRMs of a study."""
    content = study_of(study)
    return [*content["policies"], *content["prms"]]


def fresh_clone(folder: Path, hub: Hub, study: str) -> Clone:
    """A clone in which a study's models are the hub's tiny ones, and the study small."""
    for part in ("Snakefile", "workflow", "config", "profiles", "notebooks", "data/published"):
        source = ROOT / part
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(
                source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
            )
        else:
            shutil.copy2(source, folder / part)
    of_tiny_models(
        folder / "config/registry",
        {name: hub.model(name).n_parameters for name in models_of(study)},
    )
    (folder / "config/models.lock.json").write_text("{}")
    clone = Clone(
        folder,
        os.environ
        | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(folder / "workflow"),
            "HF_HUB_CACHE": str(hub.cache),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
        },
    )
    path = folder / f"config/{study}.yaml"
    path.write_text(yaml.safe_dump(of_small_budgets(study_of(study))))
    return clone


@contextmanager
def warm_engines(clone: Clone) -> Iterator[Clone]:
    """The clone with its engine jobs in one process."""
    # Relative: the path of a socket has a limit, and every job starts in the clone.
    socket = Path("engines.socket")
    install(clone.folder / "bin", socket)
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "tests/warm_engines.py"), str(socket)],
        cwd=clone.folder,
        env=clone.environment,
    )
    try:
        deadline = time.monotonic() + 300
        while not (clone.folder / socket).exists():
            assert server.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        path = f"{clone.folder / 'bin'}:{clone.environment['PATH']}"
        yield Clone(clone.folder, dict(clone.environment) | {"PATH": path})
    finally:
        server.kill()
        server.wait()


def from_nothing_to_the_report(clone: Clone, study: str) -> None:
    """What README says to do with a study."""
    config, results = f"config/{study}.yaml", study_of(study)["results"]
    clone.run("compute_optimal", "lock", "--config", config)
    snakemake = ("snakemake", "--configfile", config, "--cores", "2")
    clone.run(*snakemake, "--config", "generate=missing")
    clone.run(*snakemake, "--report", f"{results}/report.html", "--quiet")
    assert (clone.folder / results / "report.html").stat().st_size > 100_000
    # Nothing is left to do, and nothing was converted twice.
    assert "Nothing to be done" in clone.run(*snakemake, "--config", "generate=missing")


def run_in_tiny(study: str, folder: Path) -> None:
    """The paper's study of this name, from nothing to the report, with its models in tiny.

    Jobs that open engines run one after the other in a process that keeps them open.
    """
    hub = Hub(folder / "hub", folder / "tokenizers")
    hub.publish(models_of(study))
    with warm_engines(fresh_clone(folder / "clone", hub, study)) as clone:
        from_nothing_to_the_report(clone, study)
    check(clone, hub, study)


def check(clone: Clone, hub: Hub, study: str) -> None:
    """All models were locked, those that needed it were converted, and every cell has its rows."""
    content, names = study_of(study), models_of(study)
    lock = json.loads((clone.folder / "config/models.lock.json").read_text())
    assert {name: pin["revision"] for name, pin in lock.items()} == {
        name: hub.commit(name) for name in names
    }
    skywork = [name for name in names if MODELS[name].architecture == "Qwen2ForPrmModel"]
    records = [
        json.loads(path.read_text())
        for path in (clone.folder / "resources/converted").glob("*/conversion.json")
    ]
    assert sorted(record["name"] for record in records) == sorted(skywork)
    assert {record["model"]["revision"] for record in records} == set(map(hub.commit, skywork))
    results = clone.folder / content["results"]
    with duckdb.connect(str(results / "study.duckdb"), read_only=True) as database:
        cells = database.sql(
            "SELECT DISTINCT task, policy, prm, method, max(budget) FROM curves GROUP BY ALL"
        ).fetchall()
        table = database.sql("SELECT DISTINCT policy, budget FROM selection").fetchall()
    # Every cell that the study has, to its largest budget, and none of what single policies are not
    # run with or no item needs: it is not run, and nowhere zero.
    largest: dict[tuple[str, str, str, str], int] = {}
    for cell in Grid(parse_study(of_small_budgets(content))):
        if cell.prm:
            key = cell.task, cell.policy, cell.prm, cell.method
            largest[key] = max(cell.budget, largest.get(key, 0))
    assert {cell[:4]: cell[4] for cell in cells if cell[2]} == largest
    own = {policy: max(of["budgets"]) for policy, of in overrides_of(content).items()}
    assert {policy: max(n for name, n in table if name == policy) for policy in own} == own


def overrides_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides of a small study that give a policy budgets of its own."""
    small = of_small_budgets(content).get("overrides", {})
    return {policy: of for policy, of in small.items() if "budgets" in of}
