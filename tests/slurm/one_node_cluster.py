"""SLURM on this machine alone: munged, slurmctld and slurmd in a scratch folder of their own.

Debian: ``apt-get install slurm-wlm munge``; run as root. While it is up, /etc/slurm/slurm.conf is a
link into that folder, because Snakemake's plugin hides SLURM_CONF from job steps. By hand, it keeps
a cluster up until interrupted: ``python tests/slurm/one_node_cluster.py FOLDER``.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

CONFIGURED = Path("/etc/slurm/slurm.conf")
_LINKED = ("slurm.conf", "gres.conf")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo")

CONFIGURATION = """\
ClusterName=one-node
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
GresTypes=gpu
KillWait=5
MinJobAge=600
SchedulerParameters=sched_interval=2
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory=16000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


SIMULATED_GPUS = 2
"""GPUs of the node: names of the null device, which SLURM hands out and nobody computes on."""


def absent() -> str | None:
    """Why there can be no cluster on this machine, or None."""
    for name in PROGRAMS:
        if shutil.which(name, path=_path()) is None:
            return f"{name} is not installed (Debian: apt-get install slurm-wlm munge)"
    if CONFIGURED.exists():
        return f"{CONFIGURED} exists: this machine is part of a cluster already"
    if not os.access(CONFIGURED.parent, os.W_OK):
        return f"{CONFIGURED.parent} cannot be written"
    try:
        socket.gethostbyname(socket.gethostname())
    except OSError:
        return f"the host name {socket.gethostname()} does not resolve (add it to /etc/hosts)"
    return None


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class OneNodeCluster:
    """A context manager: a cluster that is up, with an idle node, until it exits."""

    folder: Path
    _daemons: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def node(self) -> str:
        """Name of the one node."""
        return socket.gethostname().split(".")[0]

    @property
    def environment(self) -> dict[str, str]:
        """Variables of this process, and where SLURM's programs are."""
        return {**os.environ, "PATH": _path()}

    def run(self, *command: str) -> str:
        """Output of one of SLURM's commands."""
        done = subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        )
        return done.stdout

    def __enter__(self) -> OneNodeCluster:
        for name in ("", "state", "spool"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(1024))
        key.chmod(0o400)
        (self.folder / "slurm.conf").write_text(
            CONFIGURATION.format(
                host=self.node,
                user=getpass.getuser(),
                folder=self.folder,
                cpus=os.cpu_count(),
                gpus=SIMULATED_GPUS,
                controller_port=_free_port(),
                node_port=_free_port(),
            )
        )
        for number in range(SIMULATED_GPUS):
            (self.folder / f"gpu{number}").symlink_to("/dev/null")
        (self.folder / "gres.conf").write_text(
            f"NodeName={self.node} Name=gpu File={self.folder}/gpu[0-{SIMULATED_GPUS - 1}]\n"
        )
        # SLURM reads gres.conf from the folder of slurm.conf as it is named.
        for name in _LINKED:
            (CONFIGURED.parent / name).unlink(missing_ok=True)  # a link whose folder is gone
            (CONFIGURED.parent / name).symlink_to(self.folder / name)
        try:
            # --force: the folder may belong to a user whom munged does not expect.
            self._start(
                *("munged", "--foreground", "--force", f"--key-file={key}"),
                *(f"--{name}-file={self.folder}/munged.{name}" for name in ("pid", "log", "seed")),
                f"--socket={self.folder}/munge.socket",
            )
            self._await(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D", "-N", self.node)
            self._await(lambda: "idle" in self.run("sinfo", "-h", "-o", "%t"), "an idle node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end_jobs()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for name in _LINKED:
            (CONFIGURED.parent / name).unlink(missing_ok=True)

    def _end_jobs(self) -> None:
        # Without their daemons, jobs would stay for ever.
        with contextlib.suppress(subprocess.SubprocessError, RuntimeError, TimeoutError):
            self.run("scancel", "--user", getpass.getuser())
            self._await(lambda: not self.run("squeue", "-h"), "end of all jobs")

    def _start(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.out").open("wb") as output:
            self._daemons.append(
                subprocess.Popen(
                    command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
                )
            )

    def _await(self, ready: object, what: str) -> None:
        assert callable(ready)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                if ready():
                    return
            except subprocess.SubprocessError:
                pass
            for daemon in self._daemons:
                if daemon.poll() is not None:
                    raise RuntimeError(f"{daemon.args} ended; see {self.folder}")
            time.sleep(0.3)
        raise TimeoutError(f"no {what} within a minute; see {self.folder}")


if __name__ == "__main__":
    if reason := absent():
        sys.exit(reason)
    with OneNodeCluster(Path(sys.argv[1]).resolve()) as cluster:
        print(f"one idle node, {cluster.node}; interrupt to stop", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            pass
