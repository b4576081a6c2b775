"""How fast the device of an engine moves memory: the limit of decoding, measured."""

from __future__ import annotations

import time


def memory_bandwidth(*, megabytes: int, repetitions: int = 8) -> float:
    """Bytes a second that this process reads and writes on its device [B/s], the best of a few.

    A copy of ``megabytes`` reads and writes each byte once. Of one GPU, or of a CPU with torch's
    threads.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    source = torch.ones(megabytes * 250_000, dtype=torch.float32, device=device)
    target = torch.empty_like(source)
    best = float("inf")
    for _ in range(repetitions):
        _await(device)
        started = time.perf_counter()
        target.copy_(source)
        _await(device)
        best = min(best, time.perf_counter() - started)
    return float(2 * source.numel() * source.element_size() / best)


def memory_used_gib() -> float | None:
    """Memory of the first visible GPU that is in use, by whomever [GiB]; None without a GPU."""
    import torch

    if not torch.cuda.is_available():
        return None
    free, total = torch.cuda.mem_get_info()
    return float(total - free) / 2**30


def _await(device: str) -> None:
    import torch

    if device == "cuda":
        torch.cuda.synchronize()
