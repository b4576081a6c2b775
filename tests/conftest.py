"""Settings for all tests."""

from __future__ import annotations

import functools
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from compute_optimal import cli, tasks
from compute_optimal.study.config import reading, registry

# A deadline would make tests fail on a busy machine, and says nothing about correctness.
settings.register_profile("study", deadline=None)
settings.load_profile("study")

if "PYTEST_XDIST_WORKER" in os.environ:
    # The workers fill the cores already. Threads of a second engine or pool on the same cores wait
    # for one another most of the time.
    for threads in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ.setdefault(threads, "1")


def remembered(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, asked once for each ``key`` of its arguments. What it returned is given
    as a new copy each time; what it raised is not kept, nor anything where there is no key."""
    answers: dict[Any, bytes] = {}

    def answer(*arguments: Any) -> Any:
        if (about := key(*arguments)) is None:
            return function(*arguments)
        if about not in answers:
            answers[about] = pickle.dumps(function(*arguments))
        return pickle.loads(answers[about])

    return answer


def _content(path: Path, model: type) -> tuple[bytes, type] | None:
    try:
        return path.read_bytes(), model
    except OSError:
        return None


# Nearly every test reads the registry, some hundreds of times, and reading it takes as long as what
# they test. What is read depends on the bytes of the file alone, which are read anew each time.
reading._parsed = remembered(reading._parsed, lambda text, _: text)
registry.read_entries = remembered(registry.read_entries, _content)
# A command generates the problems of one task once; tests ask for several, in turn, many times.
tasks._chains = functools.cache(tasks._chains.__wrapped__)
# A process parses one command; tests give hundreds in theirs.
cli._parser = functools.cache(cli._parser)


TOGETHER = {"test_sources": "test_commands", "test_machines": "test_reruns"}
"""Files whose tests share a study that takes long to run (contract/conftest.py)."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Divide the tests among the workers of ``--dist loadgroup``.

    Those with an engine stay in one worker, where vLLM is imported once and no two engines compute
    at a time; of the others, a file stays whole with its fixtures, and so do files that look at one
    finished study. By marks, xdist 3.8 divides nothing under pytest 9.2, whose ids are no texts.
    """
    if config.getoption("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = Path(nodeid.partition("::")[0])
            return "engines" if "e2e" in file.parts else TOGETHER.get(file.stem, file.stem)

    return ByGroup(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest come first: a file stays in one worker, and the other would wait for its end."""
    longest_first = ["e2e", "contract", "test_units.py", "test_damaged_files.py"]
    items.sort(
        key=lambda item: [name not in Path(item.path).parts for name in longest_first],
    )
