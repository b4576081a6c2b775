"""GPUs of this machine, and leases on them: a job takes what it needs from those that are free.

A lease is a lock on a file, one a GPU, that the operating system ends with the process that holds
it, however that ends; there is no daemon, and nothing to clean up. Workers that a process forks
hold its lease too, as they hold the memory of its GPUs.

Devices are read from ``nvidia-smi``, and only those that CUDA_VISIBLE_DEVICES leaves are taken. No
torch, no vLLM: CUDA reads that variable once, so it must be set before either is imported.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from compute_optimal.errors import StudyError

VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"
LEASES = "COMPUTE_OPTIMAL_LEASES"
"""Environment variable: another folder for leases than the user's own below /tmp."""

SCHEDULERS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID", "FLUX_JOB_ID", "KUBERNETES_SERVICE_HOST")
"""Variables by which a scheduler says that a process is part of a job of its own."""

POLL_SECONDS = 5.0
SAY_SECONDS = 60.0
_LINES = re.compile(
    r"^GPU (?P<index>\d+): (?P<name>.*?) \(UUID: (?P<uuid>GPU-[\w-]+)\)\s*$"
    r"|^\s+MIG (?P<mig>\S+)\s.*\(UUID: (?P<part>MIG-[\w/-]+)\)\s*$"
)


@dataclass(frozen=True)
class Device:
    """A GPU, or a part of one (MIG)."""

    uuid: str
    """As the driver gives it: GPU-... or MIG-...; where there is no driver to ask, its name."""
    name: str
    """What CUDA_VISIBLE_DEVICES calls it: its index, or its UUID."""
    model: str = ""
    """Such as NVIDIA A100-SXM4-80GB, or the profile of a part, such as 3g.40gb."""


def installed_devices() -> list[Device] | None:
    """All GPUs in the order of their bus; parts instead of a GPU that is parted.

    None where there is no ``nvidia-smi``. Raises ``StudyError`` where it fails, as it does when a
    GPU has fallen off its bus.
    """
    try:
        done = subprocess.run(
            ["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False
        )
    except FileNotFoundError:
        return None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise StudyError(
            f"The GPUs of this machine cannot be listed: {error}", where="nvidia-smi -L", cure=_MEND
        ) from error
    if done.returncode:
        said = (done.stdout + done.stderr).strip().splitlines() or ["no reason given"]
        raise StudyError(
            f"The GPUs of this machine cannot be listed: {said[-1][:200]}",
            where="nvidia-smi -L",
            cure=_MEND,
        )
    whole: list[Device] = []
    parts: dict[str, list[Device]] = {}
    for line in done.stdout.splitlines():
        if (match := _LINES.match(line)) is None:
            continue
        if match["uuid"]:
            whole.append(Device(match["uuid"], match["index"], match["name"]))
        elif whole:
            part = Device(match["part"], match["part"], match["mig"])
            parts.setdefault(whole[-1].uuid, []).append(part)
    return [device for gpu in whole for device in parts.get(gpu.uuid, [gpu])]


_MEND = "Run nvidia-smi by hand; reset the GPU or restart the machine, then give the command again."


def visible_devices(environment: Mapping[str, str] = os.environ) -> list[Device] | None:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves to this process, in its order; all where unset.

    None where neither it nor ``nvidia-smi`` says anything. Raises ``StudyError`` for a name that no
    GPU of this machine has, and as ``installed_devices`` does.
    """
    installed = installed_devices()
    if (named := environment.get(VISIBLE)) is None:
        return installed
    visible: list[Device] = []
    for name in _names(named):
        if name == "-1" or name == "NoDevFiles":  # of CUDA and of SLURM: none from here on
            break
        visible.append(Device(name, name) if installed is None else _named(name, installed))
    if len({device.uuid for device in visible}) < len(visible):
        raise StudyError(
            "A GPU is named twice.", where=f"{VISIBLE}={named}", cure="Name each GPU once."
        )
    return visible


def _names(visible: str) -> Iterator[str]:
    return filter(None, map(str.strip, visible.split(",")))


def _named(name: str, installed: Sequence[Device]) -> Device:
    """The device called so: by index, by UUID, or by the first letters of a UUID."""
    if name.isdecimal():
        matches = [device for device in installed if device.name == str(int(name))]
    else:
        matches = [device for device in installed if device.uuid.startswith(name)]
    if len(matches) != 1:
        known = ", ".join(f"{device.name} ({device.uuid})" for device in installed)
        raise StudyError(
            f"{VISIBLE} names {name}, which is "
            + ("several GPUs" if matches else "no GPU of this machine")
            + f"; there are: {known or 'none'}.",
            where=f"{VISIBLE}={name}",
            cure=f"Unset {VISIBLE}, or name GPUs that nvidia-smi -L lists; one that was there "
            "before has been lost: see nvidia-smi.",
        )
    return matches[0]


def count_devices() -> int:
    """Number of GPUs that jobs of this machine can take; 0 where none is found.

    For profiles, which have no place for an error: the jobs say what is wrong.
    """
    try:
        return len(visible_devices() or ())
    except StudyError:
        return 0


@contextmanager
def leased_devices(
    n: int,
    purpose: str,
    *,
    folder: Path | None = None,
    say: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True),
    poll_seconds: float = POLL_SECONDS,
) -> Iterator[tuple[Device, ...]]:
    """Hold ``n`` GPUs of which no other process has a lease, and name them in the environment.

    Waits until as many are free, and says for what. Whoever waits stands in one line: the first
    takes GPUs as they become free, so that two jobs never hold a part each of what both need, and
    a large job is not passed by small ones for ever. ``purpose`` is what others are told.

    Nothing is leased where a scheduler gave this job exactly ``n``, which are its own, nor where no
    GPU can be listed; the engine then takes what it finds. UUIDs that are cut short, as CUDA reads
    them, are named in full: vLLM looks them up as they are.

    Raises ``StudyError`` where fewer GPUs are visible than ``n``, where one that is named is gone,
    or where the folder of the leases is another user's or cannot be written.
    """
    devices = visible_devices()
    if devices is None:
        yield ()
        return
    _refuse_too_few(n, devices)
    scheduled = VISIBLE in os.environ and any(name in os.environ for name in SCHEDULERS)
    if scheduled and len(devices) == n:
        # As many as there are devices: others may stand behind one that ends the list.
        given = zip(_names(os.environ[VISIBLE]), devices, strict=False)
        names = [name if name.isdecimal() else device.uuid for name, device in given]
        with _named_for_cuda({VISIBLE: ",".join(names)}):
            yield tuple(devices)
        return
    with ExitStack() as held:
        taken = _take(n, purpose, folder or lease_folder(), held, say, poll_seconds)
        names = [device.name for device in taken]
        # CUDA counts the fastest first unless told to count as nvidia-smi does.
        with _named_for_cuda({VISIBLE: ",".join(names), ORDER: "PCI_BUS_ID"}):
            yield tuple(taken)


@contextmanager
def _named_for_cuda(values: Mapping[str, str]) -> Iterator[None]:
    """These variables of the environment within, and afterwards what there was."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _take(
    n: int,
    purpose: str,
    folder: Path,
    held: ExitStack,
    say: Callable[[str], None],
    poll_seconds: float,
) -> list[Device]:
    said = float("-inf")

    def wait(text: str) -> None:
        nonlocal said
        if time.monotonic() - said >= SAY_SECONDS:
            said = time.monotonic()
            say(text)
        time.sleep(poll_seconds)

    with ExitStack() as line:
        while (turn := _lock(folder / "turn")) is None:
            wait(f"waits in line for {_gpus(n)}; first in it: {_holder(folder / 'turn')}")
        line.callback(os.close, turn)
        _note(turn, purpose)
        taken: dict[str, int] = {}
        while True:
            # Listed anew: a GPU may be lost, and its lease with it, while this job waits.
            devices = visible_devices() or []
            _refuse_too_few(n, devices)
            for device in devices:
                if len(taken) < n and device.uuid not in taken:
                    lease = _lock(folder / _file_name(device))
                    if lease is not None:
                        held.callback(os.close, lease)
                        _note(lease, purpose)
                        taken[device.uuid] = lease
            mine = [device for device in devices if device.uuid in taken]
            if len(mine) == n:
                return mine
            for uuid in taken.keys() - {device.uuid for device in mine}:
                del taken[uuid]
            wait(
                f"waits for {n - len(mine)} of {_gpus(n)}; taken: "
                + "; ".join(
                    f"{device.name} by {_holder(folder / _file_name(device))}"
                    for device in devices
                    if device.uuid not in taken
                )
            )


def _refuse_too_few(n: int, devices: Sequence[Device]) -> None:
    if len(devices) < n:
        known = ", ".join(f"{device.name} {device.model}".strip() for device in devices)
        raise StudyError(
            f"The job needs {_gpus(n)}, and {len(devices)} can be used here ({known or 'none'}).",
            where=f"{VISIBLE}={os.environ[VISIBLE]}" if VISIBLE in os.environ else "nvidia-smi -L",
            cure="Take a machine with more GPUs, or lower tensor_parallel of its models in the "
            "registry if they fit into fewer (make plan shows their memory); a GPU that was there "
            "before has been lost: see nvidia-smi.",
        )


def _gpus(n: int) -> str:
    return "1 GPU" if n == 1 else f"{n} GPUs"


# --- files of leases ------------------------------------------------------------------------------


def lease_folder() -> Path:
    """The folder of this user's leases, made where it is missing.

    Below /tmp whatever TMPDIR says: all of a user's processes on a machine must agree on it.
    Raises ``StudyError`` where it cannot be made, or belongs to somebody else.
    """
    named = os.environ.get(LEASES)
    folder = Path(named) if named else Path(f"/tmp/compute-optimal-{os.getuid()}")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
    except OSError as error:
        raise StudyError(
            f"The folder for leases of GPUs cannot be made: {error.strerror}.",
            where=str(folder),
            cure=_OTHER_FOLDER,
        ) from error
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise StudyError(
            "The folder for leases of GPUs is another user's, or no folder.",
            where=str(folder),
            cure=_OTHER_FOLDER,
        )
    return folder


_OTHER_FOLDER = (
    f"Remove it if you may, or name a folder of your own on this machine's disk in {LEASES}, the "
    "same one for all runs that share its GPUs."
)


def _file_name(device: Device) -> str:
    return re.sub(r"[^\w.-]", "_", device.uuid)


def _lock(path: Path) -> int | None:
    """A descriptor of the file that holds its lock, or None where another process does."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise StudyError(
            f"A lease of a GPU cannot be written: {error.strerror}.",
            where=str(path),
            cure=_OTHER_FOLDER,
        ) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Somebody may have removed the file meanwhile: the lock of a lost file keeps nobody out.
        if os.fstat(file).st_ino == path.stat().st_ino:
            return file
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(file)
        raise StudyError(
            f"The folder for leases of GPUs knows no locks: {error.strerror}.",
            where=str(path),
            cure=_OTHER_FOLDER,
        ) from error
    os.close(file)
    return None


def _note(file: int, purpose: str) -> None:
    """Write into a lease who holds it. On a full disk nobody can read it; the lock holds."""
    with suppress(OSError):
        os.ftruncate(file, 0)
        os.pwrite(file, f"process {os.getpid()} ({purpose})".encode()[:300], 0)


def _holder(path: Path) -> str:
    """Who holds a lease, as its note says; whatever else the file holds stays in one line."""
    with suppress(OSError), path.open("rb") as file:
        text = file.read(300).decode(errors="replace")
        if text := "".join(letter if letter.isprintable() else "?" for letter in text):
            return text
    return "another process"
