"""A copy of the repository with a tiny study whose every cell is in the shipped store."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from default_study import POLICIES, PRM, ROOT, TASK

PARTS = ("Snakefile", "workflow", "config", "profiles", "data", "notebooks")
GENERATE = {"draw_samples", "score_steps", "search_trees"}

TINY: dict[str, Any] = {
    "name": "tiny",
    "results": "results",
    "generate": "missing",
    "tasks": [TASK],
    "problems": 5,
    "policies": POLICIES[:2],
    "prms": [PRM],
    "methods": ["cot", "majority", "best_of_n"],
    "budgets": [2, 4],
    "difficulty": {"n_samples": 4},
    "statistics": {"bootstrap_replicates": 100},
}


@dataclass(frozen=True)
class Job:
    """A job that a dry run plans."""

    rule: str
    wildcards: dict[str, str]
    engine: int | None


@dataclass(frozen=True)
class Clone:
    """One working copy, driven as a user would: by commands."""

    folder: Path

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command in the clone; its output is captured."""
        paths = [str(self.folder / "workflow"), *environment.pop("pythonpath", "").split()]
        return subprocess.run(
            [sys.executable, "-m", *command],
            cwd=self.folder,
            env=os.environ
            | {
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "PYTHONPATH": ":".join(reversed(paths)),
            }
            | environment,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Snakemake with the tiny study, up to the database unless told otherwise."""
        return self.run(
            "snakemake", "--configfile", "tiny.yaml", "--cores", "2", *arguments, **environment
        )

    def plan(self, target: str = "analysis", **environment: str) -> list[Job]:
        """The jobs of a dry run, in no order."""
        done = self.snakemake("--dry-run", target, **environment)
        assert done.returncode == 0, done.stdout + done.stderr
        output = done.stdout + done.stderr
        jobs = []
        for block in re.split(r"\n(?=(?:local)?rule \w+:)", output)[1:]:
            rule = re.match(r"(?:local)?rule (\w+):", block)
            assert rule
            wildcards = re.search(r"\n    wildcards: (.*)", block)
            pairs = wildcards[1].split(", ") if wildcards else []
            engine = re.search(r"\n    resources: .*\bengine=(\d)", block)
            jobs.append(
                Job(
                    rule[1],
                    dict(pair.split("=", 1) for pair in pairs),
                    int(engine[1]) if engine else None,
                )
            )
        return jobs

    def edit(self, file: str, change: Callable[[dict[str, Any]], None]) -> None:
        """Change a YAML file of the clone."""
        path = self.folder / file
        content = yaml.safe_load(path.read_text())
        change(content)
        path.write_text(yaml.safe_dump(content, sort_keys=False))


def fresh_clone(folder: Path) -> Clone:
    """Copy the repository's files to ``folder`` and add the tiny study."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            # With modules as they were compiled: each clone would compile all of them anew.
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy2(source, folder / part)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    return Clone(folder)


def install_environments(clone: Clone, *, sitecustomize: str = "") -> None:
    """``make`` and environments in a clone: this test's own, and in the core one no engine.

    ``sitecustomize``: what the interpreter of the core environment runs first.
    """
    for name in ("Makefile", "pyproject.toml"):
        (clone.folder / name).write_bytes((ROOT / name).read_bytes())
    requirements = clone.folder / "requirements"
    if not requirements.exists():
        requirements.symlink_to(ROOT / "requirements")
    hidden = clone.folder / "hidden"
    hidden.mkdir(exist_ok=True)
    first = "import sys\nsys.modules['vllm'] = None\n" + textwrap.dedent(sitecustomize)
    (hidden / "sitecustomize.py").write_text(first)
    for name, paths in (("core", [hidden]), ("engine-cpu", [])):
        programs = clone.folder / ".venv" / name / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        import_path = ":".join(map(str, [*paths, clone.folder / "workflow"]))
        for program, module in (("python", ""), ("snakemake", " -m snakemake")):
            path = programs / program
            path.write_text(
                f'#!/bin/sh\nPYTHONPATH={import_path} exec {sys.executable}{module} "$@"\n'
            )
            path.chmod(0o755)
        (programs.parent / ".done").touch()


def shell(clone: Clone, command: str, environment: str = "core") -> tuple[int, str]:
    """Run a line as a person would, with one of the environments at hand."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],
        cwd=clone.folder,
        env=os.environ
        | {"PATH": f"{clone.folder}/.venv/{environment}/bin:{os.environ['PATH']}"}
        | {"MAKEFLAGS": "", "CORES": "2"},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr
