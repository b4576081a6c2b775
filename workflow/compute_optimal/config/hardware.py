"""GPUs that a plan reckons with (``registry/hardware.yaml``)."""

from __future__ import annotations

from pydantic import Field

from compute_optimal.config.reading import read_mapping, refuse, suggestion, validated
from compute_optimal.config.registry import Checked
from compute_optimal.config.study import Study
from compute_optimal.errors import StudyError


class HardwareEntry(Checked):
    """One kind of GPU."""

    memory_gib: float = Field(gt=0, description="Memory of one GPU [GiB]")
    half_tflops: float = Field(
        gt=0, description="Dense peak rate in bfloat16 and float16 [10^12 FLOP/s]"
    )
    float32_tflops: float = Field(gt=0, description="Peak rate in float32 [10^12 FLOP/s]")
    source: str = Field(description="Where the figures come from")


class HardwareFile(Checked):
    """GPUs by name; the first is the one that plans are made for unless another is named."""

    hardware: dict[str, HardwareEntry] = Field(min_length=1, description="GPUs by name")


def hardware_named(study: Study, name: str | None = None) -> tuple[str, HardwareEntry]:
    """The GPU called ``name``, or that which the study names, or the first of the table.

    Raises ``StudyError`` for a bad file or an unknown name.
    """
    path = study.registry / "hardware.yaml"
    found = validated(HardwareFile, read_mapping(path))
    refuse(found if isinstance(found, list) else [], str(path))
    assert isinstance(found, HardwareFile)
    table = found.hardware
    name = name or study.hardware or next(iter(table))
    if name not in table:
        raise StudyError(
            f"there is no hardware called {name}", where=str(path), cure=suggestion(name, table)
        )
    return name, table[name]
