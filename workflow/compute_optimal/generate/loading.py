"""The models of a job, opened: a policy with its prompts, a PRM with its format."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from compute_optimal.engines import (
    gpu_memory_gib,
    open_sampling_engine,
    open_scoring_engine,
    runs_on_gpus,
    servable_folder,
    sizes,
)
from compute_optimal.engines.checkpoints import read_config
from compute_optimal.engines.devices import leased_devices
from compute_optimal.engines.requests import SamplingEngine, ScoringEngine
from compute_optimal.policies.prompts import load_tokenizer, prompt_ids
from compute_optimal.prms import prm_format
from compute_optimal.search.records import Encode
from compute_optimal.store.places import policy_of, prm_of
from compute_optimal.store.storage import Storage
from compute_optimal.study.config import ModelEntry, PromptFamily
from compute_optimal.study.cost import ENGINE_OVERHEAD_GIB, GPU_MEMORY_SHARE, gpu_memory_shares
from compute_optimal.study.models import identity, model_folder
from compute_optimal.study.spec import Spec
from compute_optimal.tasks import Problem


class _Closing(Protocol):
    def close(self) -> None: ...


_Engine = TypeVar("_Engine", bound=_Closing)


@dataclass(frozen=True)
class Policy:
    """A policy that is loaded."""

    engine: SamplingEngine
    tokenizer: Any
    prompt: PromptFamily
    slots: int
    """Requests that run at once."""

    def prompt_ids(self, problem: Problem) -> tuple[int, ...]:
        return prompt_ids(self.tokenizer, self.prompt, problem.problem)


@dataclass(frozen=True)
class Prm:
    """A PRM that is loaded; inputs are at most ``context`` tokens."""

    engine: ScoringEngine
    encode: Encode
    context: int
    slots: int
    """Requests that run at once."""


@contextmanager
def gpus_of(storage: Storage, spec: Spec, purpose: str) -> Iterator[None]:
    """Lease the GPUs that the models of a spec need, before anything opens one.

    Nothing on a CPU engine. ``purpose`` is what others that wait for these GPUs are told. Raises
    ``StudyError`` as ``devices.leased_devices`` does.
    """
    entries: list[ModelEntry] = []
    if "policy" in spec:
        entries.append(storage.registry.policy(spec["policy"]["name"]))
    if "prm" in spec:
        entries.append(storage.registry.prm(spec["prm"]["name"]))
    if not runs_on_gpus():
        yield
        return
    # A model that would run as well on a CPU runs on a GPU where its engine has one.
    with leased_devices(max(1, *(entry.n_gpus for entry in entries)), purpose):
        yield


_kept: ContextVar[tuple[ExitStack, dict[tuple[object, ...], Any]] | None] = ContextVar(
    "models that stay open", default=None
)

KEPT_CACHE_GIB = 0.25
"""Keys and values of a model that stays open [GiB]: many are open at a time."""


@contextmanager
def kept_open() -> Iterator[None]:
    """Models that are opened within stay open to its end, for whichever job asks for them next.

    For many small jobs of small models, which would take longer to open than to run.
    """
    with ExitStack() as stack:
        token = _kept.set((stack, {}))
        try:
            yield
        finally:
            _kept.reset(token)


@contextmanager
def _opened(
    open_engine: Callable[..., _Engine], *arguments: Any, gpu_memory: float, **settings: Any
) -> Iterator[_Engine]:
    """An engine that closes at the end, or that of ``kept_open``."""
    if (kept := _kept.get()) is None:
        with closing(open_engine(*arguments, gpu_memory=gpu_memory, **settings)) as engine:
            yield engine
        return
    stack, engines = kept
    key = (open_engine, *arguments, *sorted(settings.items()))
    if key not in engines:
        engine = open_engine(*arguments, kv_cache_gib=KEPT_CACHE_GIB, **settings)
        engines[key] = stack.enter_context(closing(engine))
    yield engines[key]


def gpu_shares(storage: Storage, spec: Spec) -> dict[str, float]:
    """Shares of GPU memory for the policy and the PRM of a search, which run on the same GPUs."""
    policy = storage.registry.policy(policy_of(spec))
    prm = storage.registry.prm(prm_of(spec))
    shares = gpu_memory_shares(policy, prm, gpu_memory_gib() or math.inf)
    return dict(zip(("policy", "prm"), shares, strict=True))


def _folder(entry: ModelEntry, storage: Storage) -> Path:
    """The locked model as an engine opens it; fetched, and converted, where it has to be."""
    folder = model_folder(entry, storage.lock)
    return servable_folder(folder, identity(entry, storage.lock))


def slots_of(entry: ModelEntry, folder: Path, gpu_gib: float | None, gpu_share: float) -> int:
    """Requests of a model that run at once: the registry's number, or what fits into memory.

    ``gpu_gib``: memory of one GPU [GiB], None without; the engine has ``gpu_share`` of each.
    """
    if entry.slots is not None:
        return entry.slots
    memory = sizes.kv_memory(
        weight_bytes=entry.weight_bytes,
        gpu_gib=gpu_gib,
        gpu_share=gpu_share,
        n_gpus=max(1, entry.n_gpus),
        overhead_gib=ENGINE_OVERHEAD_GIB,
    )
    each = sizes.kv_bytes_per_token(
        read_config(folder), bytes_per_value=4 if entry.dtype == "float32" else 2
    )
    return sizes.slots(memory, each, entry.context, on_gpu=gpu_gib is not None)


def policy_folder(storage: Storage, spec: Spec) -> Path:
    """Where the locked policy of a spec lies; fetched, and converted, where it has to be."""
    return _folder(storage.registry.policy(policy_of(spec)), storage)


@contextmanager
def open_policy(
    storage: Storage, spec: Spec, gpu_memory: float = GPU_MEMORY_SHARE
) -> Iterator[Policy]:
    """Load the policy of a spec; it takes ``gpu_memory`` of each GPU, as a share.

    Raises ``StudyError`` where the model cannot be fetched, converted or opened.
    """
    registry = storage.registry
    entry = registry.policy(policy_of(spec))
    folder = _folder(entry, storage)
    slots = slots_of(entry, folder, gpu_memory_gib(), gpu_memory)
    with _opened(
        open_sampling_engine,
        folder,
        context=entry.context,
        dtype=entry.dtype,
        max_num_seqs=slots,
        tensor_parallel=max(1, entry.n_gpus),
        gpu_memory=gpu_memory,
    ) as engine:
        yield Policy(engine, load_tokenizer(folder), registry.prompt_family(entry.prompt), slots)


@contextmanager
def open_prm(storage: Storage, spec: Spec, gpu_memory: float = GPU_MEMORY_SHARE) -> Iterator[Prm]:
    """Load the PRM of a spec, as ``open_policy`` does."""
    registry = storage.registry
    entry = registry.prm(prm_of(spec))
    folder = _folder(entry, storage)
    tokenizer, form = load_tokenizer(folder), prm_format(entry.format)
    slots = slots_of(entry, folder, gpu_memory_gib(), gpu_memory)
    with _opened(
        open_scoring_engine,
        folder,
        entry.format,
        context=entry.context,
        dtype=entry.dtype,
        max_num_seqs=slots,
        tensor_parallel=max(1, entry.n_gpus),
        gpu_memory=gpu_memory,
    ) as engine:
        yield Prm(engine, partial(form.encode, tokenizer), entry.context, slots)
