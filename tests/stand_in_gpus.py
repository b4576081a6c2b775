"""GPUs that are a program on the PATH: an ``nvidia-smi`` that lists what a file says."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from compute_optimal.engines import devices


@dataclass
class StandInGpus:
    """A machine's GPUs, and a folder for their leases."""

    folder: Path

    @property
    def leases(self) -> Path:
        return self.folder / "leases"

    @property
    def environment(self) -> Mapping[str, str]:
        """What a process needs to see them."""
        path = f"{self.folder}:{os.environ['PATH']}"
        return {"PATH": path, devices.LEASES: str(self.leases)}

    def are(self, *lines: str) -> None:
        # A process may be reading it: it sees the old list or the new one, whole.
        new = self.folder / "list-new"
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.folder / "list")

    def count(self, n: int) -> None:
        self.are(*(f"GPU {i}: NVIDIA Stand-in (UUID: {uuid(i)})" for i in range(n)))

    def break_with(self, text: str) -> None:
        self._program(f"#!/bin/sh\necho '{text}'\nexit 15\n")

    def _program(self, text: str) -> None:
        program = self.folder / "nvidia-smi"
        program.write_text(text)
        program.chmod(0o755)


def uuid(index: int) -> str:
    return f"GPU-{index:08x}-0000-0000-0000-000000000000"


def install(folder: Path, n: int) -> StandInGpus:
    gpus = StandInGpus(folder)
    folder.mkdir(parents=True, exist_ok=True)
    gpus._program(f"#!/bin/sh\nexec cat '{folder}/list'\n")
    gpus.count(n)
    return gpus


def use(gpus: StandInGpus, monkeypatch: pytest.MonkeyPatch) -> StandInGpus:
    """Let this process see them, and no scheduler."""
    for name in (devices.VISIBLE, devices.ORDER, *devices.SCHEDULERS):
        monkeypatch.delenv(name, raising=False)
    for name, value in gpus.environment.items():
        monkeypatch.setenv(name, value)
    return gpus
