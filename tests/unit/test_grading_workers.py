import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from compute_optimal.errors import StudyError
from compute_optimal.judge.grading import workers
from compute_optimal.judge.grading.workers import Decided, WorkerPool


def square(number: int) -> int:
    return number * number


def pause_and_square(number: int) -> int:
    time.sleep(0.02)
    return number * number


def spin_if_negative(number: int) -> int:
    while number < 0:
        pass
    return number


def hang_in_c_if_negative(number: int) -> int:
    # One call into C that no Python signal handler can interrupt.
    return len(str(7 ** (10**9))) if number < 0 else number


def sleep_if_negative(number: int) -> int:
    time.sleep(3600 if number < 0 else 0)
    return number


def die_if_negative(number: int) -> int:
    if number < 0:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


def die_the_first_time(marker: str) -> str:
    path = Path(marker)
    if not path.exists():
        path.touch()
        os._exit(3)
    return path.name


def exhaust_memory_if_negative(number: int) -> int:
    return len(bytearray(8 * 2**30)) if number < 0 else number


def recurse_if_negative(number: int) -> int:
    return recurse_if_negative(number) if number < 0 else number


def fail(number: int) -> int:
    raise LookupError(f"no {number}")


def process_id(_: int) -> int:
    return os.getpid()


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie that its parent has not collected yet is dead too.
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("size", [1, 2, 3])
def test_results_come_in_order(size: int) -> None:
    with WorkerPool(workers=size, seconds=10) as pool:
        assert pool.map(square, range(200)) == [Decided(i * i) for i in range(200)]
        assert pool.map(square, []) == []
        assert len(pool.process_ids) <= size


@pytest.mark.parametrize(
    "function",
    [
        spin_if_negative,
        hang_in_c_if_negative,
        die_if_negative,
        exhaust_memory_if_negative,
        recurse_if_negative,
    ],
)
def test_only_the_bad_items_are_lost(function: object) -> None:
    assert callable(function)
    items = [1, -1, 2, 3, 4]
    with WorkerPool(workers=2, seconds=0.3) as pool:
        expected = [None if i < 0 else Decided(i) for i in items]
        assert pool.map(function, items) == expected
        # The pool is as good as new.
        assert pool.map(square, [3]) == [Decided(9)]


def test_a_worker_that_uses_no_processor_time_is_stopped_by_the_clock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "GRACE_SECONDS", 3)
    began = time.monotonic()
    with WorkerPool(workers=1, seconds=0.1) as pool:
        assert pool.map(sleep_if_negative, [-1, 5]) == [None, Decided(5)]
    assert time.monotonic() - began < 60


def test_an_item_whose_worker_died_is_tried_once_more(tmp_path: Path) -> None:
    markers = [str(tmp_path / name) for name in "ab"]
    with WorkerPool(workers=2, seconds=5) as pool:
        assert pool.map(die_the_first_time, markers) == [Decided("a"), Decided("b")]


def test_workers_killed_from_outside_change_nothing() -> None:
    killed: list[int] = []
    with WorkerPool(workers=2, seconds=10) as pool:
        done = threading.Event()

        def kill_workers() -> None:
            # Far enough apart that no item is hit twice.
            while not done.wait(0.3) and len(killed) < 5:
                if pids := pool.process_ids:
                    os.kill(pids[0], signal.SIGKILL)
                    killed.append(pids[0])

        thread = threading.Thread(target=kill_workers)
        thread.start()
        try:
            items = range(150)
            assert pool.map(pause_and_square, items) == [Decided(i * i) for i in items]
        finally:
            done.set()
            thread.join()
    assert killed


def test_a_bug_in_the_function_is_not_swallowed() -> None:
    with (
        pytest.raises(LookupError, match="no 7"),
        WorkerPool(workers=1, seconds=5) as pool,
    ):
        pool.map(fail, [7])


def test_no_process_is_left() -> None:
    with WorkerPool(workers=2, seconds=5) as pool:
        decided = pool.map(process_id, range(20))
        pids = {item.value for item in decided if item}
        assert os.getpid() not in pids
        assert pids <= set(pool.process_ids)
    assert not any(_is_alive(pid) for pid in pids)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize("length", [60, 80, 200])
def test_workers_start_below_a_temporary_folder_with_a_long_path(
    tmp_path: Path, length: int
) -> None:
    """A socket's path has room for some 100 bytes; multiprocessing puts one below TMPDIR."""
    folder = tmp_path / ("x" * max(1, length - len(f"{tmp_path}/")))
    folder.mkdir()
    script = (
        "import tempfile\n"
        "from compute_optimal.judge.grading.workers import Decided, WorkerPool\n"
        "from test_grading_workers import square\n"
        "if __name__ == '__main__':\n"
        "    with WorkerPool(workers=2, seconds=5) as pool:\n"
        "        assert pool.map(square, [1, 2, 3]) == [Decided(1), Decided(4), Decided(9)]\n"
        "    print(tempfile.gettempdir())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder)


def test_no_folder_for_a_socket_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "SHORT_FOLDERS", (str(tmp_path / "missing"),))
    monkeypatch.setattr(workers.tempfile, "tempdir", "/" + "x" * 100)
    monkeypatch.setitem(multiprocessing.process.current_process()._config, "tempdir", None)
    with pytest.raises(StudyError, match="too long for a socket"):
        WorkerPool(workers=1, seconds=1)


SCRIPT = """
import sys
from compute_optimal.judge.grading.workers import WorkerPool
{guard}
    from test_grading_workers import hang_in_c_if_negative
    with WorkerPool(workers=1, seconds=1) as pool:
        pool.map(hang_in_c_if_negative, [1])
        print(pool.process_ids[0], flush=True)
        pool.map(hang_in_c_if_negative, [-1])
"""


def _script(path: Path, guard: str) -> "subprocess.Popen[str]":
    path.write_text(SCRIPT.format(guard=guard))
    folders = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.Popen(
        [sys.executable, str(path)],
        env=os.environ | {"PYTHONPATH": folders},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_workers_outlive_a_killed_caller_only_briefly(tmp_path: Path) -> None:
    with _script(tmp_path / "guarded.py", "if __name__ == '__main__':") as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
    # The worker is busy with a call that would take hours; its limit is one second of work.
    until = time.monotonic() + 60
    while _is_alive(worker) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _is_alive(worker)


def test_a_script_without_guard_is_told_what_to_do(tmp_path: Path) -> None:
    with _script(tmp_path / "unguarded.py", "if True:") as process:
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "if __name__ == '__main__':" in errors.splitlines()[-1]
