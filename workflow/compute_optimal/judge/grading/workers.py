"""Worker processes that may be killed at any time, one by one.

The libraries at hand do not do this. In ``concurrent.futures`` and ``loky`` one dead worker
breaks the pool and there is no limit per task; ``multiprocessing.Pool`` loses a dead worker's
task for ever. ``pebble`` has limits, but its workers share one pipe and its locks: after one
SIGKILL from outside, in about half of the trials the pool broke or some results never came.
Here each worker has a pipe of its own, so its death can only concern its own task.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.util
import os
import resource
import signal
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, TypeVar

from compute_optimal.errors import StudyError

T = TypeVar("T")
R = TypeVar("R")

MEMORY_LIMIT = 4 * 2**30
"""Address space of one worker, bytes."""

WALL_FACTOR = 10
GRACE_SECONDS = 30
"""By the clock a task may take ``WALL_FACTOR`` times its limit, and the grace for a cold start."""

START_SECONDS = 120
FAILED_STARTS = 3

SOCKET_PATH = 103
"""Bytes that the path of a socket may have, on Linux and macOS."""

SHORT_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")


@dataclass(frozen=True)
class Decided(Generic[R]):
    """A task's result; its absence (None) means that no worker could finish the task."""

    value: R


@dataclass
class _Worker:
    process: BaseProcess
    connection: Connection
    deadline: float
    ready: bool = False
    task: int | None = None


class WorkerPool:
    """Maps functions over items in ``workers`` processes, with a limit per item.

    ``seconds`` is processor time, so that a busy machine does not change results; the clock has a
    wider limit, for what hangs without working. Workers are forked from a clean, single-threaded
    server process that has the libraries loaded ("forkserver"): a new one costs milliseconds where
    a spawned one imports for seconds, and forking the caller with its threads would be unsafe.
    Leaving the context kills all workers; should the caller be killed, idle workers end at once
    and busy ones within ``seconds``.
    """

    def __init__(self, *, workers: int, seconds: float) -> None:
        self._size, self._seconds = workers, seconds
        self._wall_seconds = WALL_FACTOR * seconds + GRACE_SECONDS
        self._workers: list[_Worker] = []
        _make_room_for_a_socket()
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["compute_optimal.judge.grading.warm"])
        self._failed_starts = 0

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in list(self._workers):
            self._dismiss(worker)

    @property
    def process_ids(self) -> list[int]:
        """The processes at work, for those who watch or disturb them."""
        return [worker.process.pid for worker in self._workers if worker.process.pid is not None]

    def map(self, function: Callable[[T], R], items: Sequence[T]) -> list[Decided[R] | None]:
        """``function`` of each item, in order; None for an item over its limit of time or memory.

        ``function`` is sent by name and must be pure. An item whose worker dies for another
        reason is tried once more, then None. Raises what ``function`` raises, except
        ``MemoryError`` and ``RecursionError``, and ``StudyError`` if no worker can be started.
        """
        results: list[Decided[R] | None] = [None] * len(items)
        waiting = deque(range(len(items)))
        retried: set[int] = set()
        while waiting or any(worker.task is not None for worker in self._workers):
            self._employ(len(waiting))
            for worker in self._workers:
                if worker.ready and worker.task is None and waiting:
                    worker.task = waiting.popleft()
                    worker.deadline = time.monotonic() + self._wall_seconds
                    with contextlib.suppress(OSError):  # a dead worker is found below
                        worker.connection.send((function, items[worker.task]))
            active = [w for w in self._workers if not w.ready or w.task is not None]
            nearest = min(worker.deadline for worker in active)
            answered = wait([w.connection for w in active], max(0, nearest - time.monotonic()))
            for worker in active:
                task, overdue = worker.task, time.monotonic() > worker.deadline
                if worker.connection in answered:
                    try:
                        reply = worker.connection.recv()
                    except (EOFError, OSError):
                        pass
                    else:
                        if isinstance(reply, Exception):
                            raise reply
                        worker.ready, worker.task = True, None
                        self._failed_starts = 0
                        if task is not None:
                            results[task] = reply
                        continue
                elif not overdue:
                    continue
                cause = self._dismiss(worker)
                if task is None:
                    self._count_failed_start(cause)
                elif not overdue and cause != -signal.SIGPROF and task not in retried:
                    retried.add(task)
                    waiting.append(task)
        return results

    def _employ(self, n_waiting: int) -> None:
        n_idle = sum(worker.task is None for worker in self._workers)
        for _ in range(min(self._size - len(self._workers), n_waiting - n_idle)):
            ours, theirs = self._context.Pipe()
            process = self._context.Process(target=_serve, args=(theirs, self._seconds))
            process.daemon = True
            process.start()
            theirs.close()
            self._workers.append(_Worker(process, ours, time.monotonic() + START_SECONDS))

    def _dismiss(self, worker: _Worker) -> int | None:
        """End a worker, dead or alive, and say how it ended (negative: by which signal)."""
        self._workers.remove(worker)
        if worker.connection.poll():  # its end is closed: let it die of its own cause
            worker.process.join(1)
        worker.process.kill()
        worker.process.join()
        worker.connection.close()
        cause = worker.process.exitcode
        worker.process.close()
        return cause

    def _count_failed_start(self, cause: int | None) -> None:
        self._failed_starts += 1
        if self._failed_starts == FAILED_STARTS:
            raise StudyError(
                f"grading workers die before they begin (exit code {cause}), {FAILED_STARTS} times",
                where="compute_optimal.judge.grading",
                cure="see the messages above: a script that grades must do so under "
                "`if __name__ == '__main__':`; else free some memory, or use fewer workers",
            )


def _make_room_for_a_socket() -> None:
    """Give multiprocessing a short folder where the temporary one (TMPDIR) is too long.

    Its server listens on a socket in a folder of its own, which it makes once in the temporary
    folder. Raises ``StudyError`` where no short folder can be written.
    """
    address = Path(tempfile.gettempdir(), "pymp-12345678", "listener-12345678")
    if len(os.fsencode(address)) <= SOCKET_PATH:
        return
    before = tempfile.tempdir
    try:
        for folder in SHORT_FOLDERS:
            tempfile.tempdir = folder
            with contextlib.suppress(OSError):
                multiprocessing.util.get_temp_dir()
                return
    finally:
        tempfile.tempdir = before
    raise StudyError(
        "the path of the temporary folder is too long for a socket, and none of "
        f"{', '.join(SHORT_FOLDERS)} can be written",
        where=f"TMPDIR={before}",
        cure="set TMPDIR to a folder with a short path",
    )


def _serve(connection: Connection, seconds: float) -> None:
    """The life of a worker: (function, item) in, ``Decided`` or None or an exception out."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the caller decides when to stop
    # Left to the kernel, the signal ends the process even within a long call into C.
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT, MEMORY_LIMIT))
    reply: Any = None
    while True:
        connection.send(reply)
        try:
            function, item = connection.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            reply = Decided(function(item))
        except (MemoryError, RecursionError):
            reply = None
        except Exception as error:
            reply = error
        signal.setitimer(signal.ITIMER_PROF, 0)
