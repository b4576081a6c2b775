"""GPUs that a plan is made for (``hardware.yaml`` in the registry's folder)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from compute_optimal.study.config.reading import read_mapping, refuse, validated
from compute_optimal.study.config.registry import Checked, Line


class HardwareEntry(Checked):
    """One kind of GPU."""

    memory_gib: float = Field(ge=1, le=100_000, description="Memory of one GPU [GiB]")
    half_tflops: float = Field(
        ge=0.1, le=1_000_000, description="Dense peak rate in bfloat16 and float16 [10^12 FLOP/s]"
    )
    float32_tflops: float = Field(
        ge=0.1, le=1_000_000, description="Peak rate in float32 [10^12 FLOP/s]"
    )
    source: Line = Field(description="Where the figures come from")


class HardwareFile(Checked):
    """GPUs by name; the first is the one that plans are made for unless another is named."""

    hardware: dict[str, HardwareEntry] = Field(min_length=1, description="GPUs by name")


def load_hardware(registry: Path) -> Mapping[str, HardwareEntry]:
    """The GPUs of a registry folder, by name. Raises ``StudyError`` for a bad file."""
    path = registry / "hardware.yaml"
    checked = validated(HardwareFile, read_mapping(path))
    refuse(checked if isinstance(checked, list) else [], str(path))
    assert isinstance(checked, HardwareFile)
    return checked.hardware
