"""Leases on GPUs: each job takes what it needs, none is given twice, none is lost."""

from __future__ import annotations

import fcntl
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from stand_in_gpus import StandInGpus, install, use, uuid

from compute_optimal import engines
from compute_optimal.engines import devices
from compute_optimal.engines.devices import (
    count_devices,
    installed_devices,
    lease_folder,
    leased_devices,
    visible_devices,
)
from compute_optimal.errors import StudyError

FORK = multiprocessing.get_context("fork")
N_KILLS = 40

pytestmark = pytest.mark.usefixtures("gpus")


@pytest.fixture
def gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInGpus:
    return use(install(tmp_path / "machine", 4), monkeypatch)


def lease(n: int, **settings: Any) -> Any:
    return leased_devices(n, "a test", poll_seconds=0.01, **settings)


def taken(n: int) -> list[str]:
    with lease(n):
        return os.environ[devices.VISIBLE].split(",")


def test_a_job_gets_as_many_as_it_needs_and_others_get_others() -> None:
    with lease(2) as first:
        assert os.environ[devices.VISIBLE] == "0,1"
        assert os.environ[devices.ORDER] == "PCI_BUS_ID"
        assert [device.uuid for device in first] == [uuid(0), uuid(1)]
        del os.environ[devices.VISIBLE]
        with lease(2) as second:
            assert [device.name for device in second] == ["2", "3"]
    assert devices.VISIBLE not in os.environ
    assert taken(4) == ["0", "1", "2", "3"], "what was given back is free"


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, ["0", "1", "2", "3"]),
        ("2,0", ["2", "0"]),
        (" 3 ", ["3"]),
        (uuid(1), ["1"]),
        (uuid(2)[:12], ["2"]),
        ("", []),
        ("-1", []),
        ("1,-1,2", ["1"]),
        ("NoDevFiles", []),
    ],
)
def test_what_is_visible_is_what_the_variable_leaves(
    visible: str | None, expected: list[str]
) -> None:
    environment = {} if visible is None else {devices.VISIBLE: visible}
    left = visible_devices(environment)
    assert left is not None
    assert [device.name for device in left] == expected


def test_parts_of_a_gpu_stand_for_it_and_are_named_by_their_uuid(
    gpus: StandInGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.are(
        f"GPU 0: NVIDIA A100-SXM4-80GB (UUID: {uuid(0)})",
        "  MIG 3g.40gb     Device  0: (UUID: MIG-11111111-0000-0000-0000-000000000000)",
        "  MIG 3g.40gb     Device  1: (UUID: MIG-22222222-0000-0000-0000-000000000000)",
        f"GPU 1: NVIDIA A100-SXM4-80GB (UUID: {uuid(1)})",
    )
    installed = installed_devices()
    assert installed is not None
    assert [(device.name[:12], device.model) for device in installed] == [
        ("MIG-11111111", "3g.40gb"),
        ("MIG-22222222", "3g.40gb"),
        ("1", "NVIDIA A100-SXM4-80GB"),
    ]
    monkeypatch.setenv(devices.VISIBLE, "MIG-2222")
    assert taken(1) == ["MIG-22222222-0000-0000-0000-000000000000"]


@pytest.mark.parametrize(
    ("visible", "memory"),
    [(None, 80.0), ("3,1", 80.0), (uuid(1), 80.0), (f"MIG-{uuid(2)[4:]},MIG-{uuid(1)[4:]}", 40.0)],
)
def test_the_memory_of_a_part_is_that_of_the_part(
    visible: str | None, memory: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM says what the whole GPU has; NVML knows both by their UUID."""
    monkeypatch.delenv(devices.VISIBLE, raising=False)
    if visible is not None:
        monkeypatch.setenv(devices.VISIBLE, visible)
    platform = SimpleNamespace(is_cuda_alike=lambda: True, get_device_total_memory=lambda: 80 << 30)
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetHandleByUUID={f"MIG-{uuid(2)[4:]}": 40 << 30}.__getitem__,
        nvmlDeviceGetMemoryInfo=lambda part: SimpleNamespace(total=part),
    )
    for name, module in {
        "vllm": ModuleType("vllm"),
        "vllm.platforms": SimpleNamespace(current_platform=platform),
        "vllm.third_party": SimpleNamespace(pynvml=nvml),
    }.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(engines, "runs_on_gpus", lambda: True)
    assert engines.gpu_memory_gib() == memory


def test_a_schedulers_assignment_is_taken_as_it_is(
    gpus: StandInGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setenv(devices.VISIBLE, "1,2")
    with lease(2), lease(2) as same:  # the scheduler may let two jobs share
        assert [device.name for device in same] == ["1", "2"]
        assert os.environ[devices.VISIBLE] == "1,2"
        assert not gpus.leases.exists()
    # Cut short, as CUDA reads them; vLLM looks them up as they are.
    monkeypatch.setenv(devices.VISIBLE, "GPU-00000002, 1")
    with lease(2):
        assert os.environ[devices.VISIBLE] == f"{uuid(2)},1"
    assert os.environ[devices.VISIBLE] == "GPU-00000002, 1"
    monkeypatch.setenv(devices.VISIBLE, "1,2")
    # Jobs in one allocation share out what it holds.
    with lease(1):
        monkeypatch.setenv(devices.VISIBLE, "1,2")
        assert taken(1) == ["2"]


def test_names_are_taken_at_their_word_where_no_driver_can_be_asked(
    gpus: StandInGpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(gpus.leases))
    assert (visible_devices(), count_devices()) == (None, 0)
    with lease(1) as none:
        assert none == ()
        assert devices.VISIBLE not in os.environ
    monkeypatch.setenv(devices.VISIBLE, "5,6")
    assert count_devices() == 2
    assert taken(1) == ["5"]


# --- many processes -------------------------------------------------------------------------------


def hold(n: int, seconds: float, proofs: Path) -> None:
    """Lease ``n``, and prove with locks of another kind that nobody else has any of them."""
    # Opened first: a process that dies closes its files in this order, the leases last.
    proof = {uuid(i): os.open(proofs / str(i), os.O_RDWR | os.O_CREAT) for i in range(4)}
    outcomes = os.open(proofs / "outcomes", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    with lease(n, say=lambda _: None) as mine:
        try:
            for device in mine:
                fcntl.lockf(proof[device.uuid], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(outcomes, b"shared\n")
        time.sleep(seconds)
        for device in mine:
            fcntl.lockf(proof[device.uuid], fcntl.LOCK_UN)
    os.write(outcomes, b"finished\n")


def test_many_processes_killed_at_any_point_never_share_nor_lose_a_gpu(tmp_path: Path) -> None:
    chance = random.Random(1)

    def started() -> Any:
        arguments = (chance.choice((1, 1, 2, 3, 4)), chance.uniform(0, 0.1), tmp_path)
        process = FORK.Process(target=hold, args=arguments)
        process.start()
        return process

    spared, n_killed = [], 0
    for _ in range(N_KILLS):
        spared.append(started())
        victim = started()
        time.sleep(chance.uniform(0, 0.1))
        victim.kill()
        victim.join()
        n_killed += victim.exitcode == -signal.SIGKILL
    for process in spared:
        process.join(60)
        assert process.exitcode == 0, "a job waits for ever, or ended in an error"
    outcomes = Counter((tmp_path / "outcomes").read_text().split())
    assert outcomes["shared"] == 0
    assert outcomes["finished"] >= N_KILLS
    assert n_killed > N_KILLS / 4
    assert taken(4) == ["0", "1", "2", "3"], "a GPU was lost"


def test_a_large_job_is_not_passed_by_small_ones_and_says_what_it_waits_for() -> None:
    said: list[str] = []
    order: list[int] = []

    def take(n: int) -> None:
        with lease(n, say=said.append):
            order.append(n)

    with ExitStack() as held:
        held.enter_context(lease(1))
        del os.environ[devices.VISIBLE]
        threads = []
        for n in (4, 1):
            threads.append(threading.Thread(target=take, args=(n,)))
            threads[-1].start()
            time.sleep(0.2)
        assert order == [], "a job that came later took a GPU that the first one needs"
    for thread in threads:
        thread.join(10)
    assert order == [4, 1]
    assert said[0] == f"waits for 1 of 4 GPUs; taken: 0 by process {os.getpid()} (a test)"
    assert said[1].startswith("waits in line for 1 GPU; first in it: process")


def test_the_variable_is_set_before_torch_or_vllm_is_imported() -> None:
    code = (
        "import sys; from compute_optimal.generate import jobs, loading\n"
        "from compute_optimal.engines import devices\n"
        "assert not {'torch', 'vllm'} & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- what can be wrong ----------------------------------------------------------------------------


def refusal(n: int = 1) -> str:
    with pytest.raises(StudyError) as raised, lease(n):
        pass
    return str(raised.value)


def test_fewer_gpus_than_a_model_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs 5 GPUs, and 4 can be used here" in refusal(5)
    assert "tensor_parallel" in refusal(5)
    monkeypatch.setenv(devices.VISIBLE, "")
    assert "needs 1 GPU, and 0 can be used here (none)" in refusal()


def test_a_gpu_that_is_gone_is_named(gpus: StandInGpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.VISIBLE, "3")
    assert taken(1) == ["3"]
    gpus.count(3)
    assert "names 3, which is no GPU of this machine; there are: 0" in refusal()
    monkeypatch.setenv(devices.VISIBLE, "1,1")
    assert "named twice" in refusal()
    monkeypatch.setenv(devices.VISIBLE, "GPU-0")
    assert "several GPUs" in refusal()
    gpus.break_with("Unable to determine the device handle: GPU is lost")
    assert "cannot be listed: Unable to determine the device handle: GPU is lost" in refusal()
    assert count_devices() == 0


def test_a_gpu_that_is_lost_while_a_job_waits_for_it_ends_the_wait(gpus: StandInGpus) -> None:
    with lease(1):
        del os.environ[devices.VISIBLE]
        threading.Timer(0.2, gpus.count, args=(3,)).start()
        assert "needs 4 GPUs, and 3 can be used here" in refusal(4)
        gpus.count(4)
        with lease(3):
            pass


def test_a_folder_of_another_user_or_none_that_can_be_made(
    gpus: StandInGpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus.leases.symlink_to(tmp_path)
    assert "another user's, or no folder" in refusal()
    monkeypatch.setenv(devices.LEASES, "/proc/leases")
    assert "cannot be made" in refusal()
    assert devices.LEASES in refusal()
    if os.getuid() == 0:
        theirs = tmp_path / "theirs"
        theirs.mkdir()
        os.chown(theirs, 12345, 12345)
        monkeypatch.setenv(devices.LEASES, str(theirs))
        assert "another user's" in refusal()


def test_a_lease_that_is_no_file_of_ours_is_refused(gpus: StandInGpus, tmp_path: Path) -> None:
    gpus.leases.mkdir(mode=0o700)
    (tmp_path / "elsewhere").write_text("kept")
    (gpus.leases / uuid(0)).symlink_to(tmp_path / "elsewhere")
    assert "A lease of a GPU cannot be written" in refusal()
    assert (tmp_path / "elsewhere").read_text() == "kept"


def test_a_full_disk_keeps_nobody_from_a_lease() -> None:
    code = (
        "import resource, signal, sys\n"
        "from compute_optimal.engines.devices import leased_devices\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))\n"
        "with leased_devices(4, 'x'): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_hostile_note_stays_one_line(gpus: StandInGpus) -> None:
    said: list[str] = []
    with lease(4):
        del os.environ[devices.VISIBLE]
        (gpus.leases / uuid(0)).write_bytes(b"\x1b[2J\nerror: all is lost\xff" * 100)

        def say(text: str) -> None:
            said.append(text)
            gpus.count(0)

        def wait() -> None:
            with pytest.raises(StudyError), lease(4, say=say):
                pass

        waiting = threading.Thread(target=wait)
        waiting.start()
        waiting.join(10)
    assert said[0].isprintable()
    assert len(said[0]) < 1000


def test_the_folder_is_the_same_whatever_the_shell_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(devices.LEASES, raising=False)
    before = lease_folder()
    monkeypatch.setenv("TMPDIR", "/var/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/elsewhere")
    assert lease_folder() == before
    assert before.stat().st_mode & 0o077 == 0
