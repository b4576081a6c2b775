"""Jobs of the generate zone in one process, in which vLLM is imported and each model opened once.

A whole grid of tiny models spends nearly all its time starting interpreters, importing vLLM and
opening the same few models again. Put first on the PATH, the ``python`` that ``install`` writes
hands such jobs to ``serve``, with their working directory and output; everything else it runs as
it is. Rules, commands and engines are the same; engines are kept open, with a small cache.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERBS = ("draw-samples", "score-steps", "search-trees")

CLIENT = """#!{python} -SsE
import json, os, socket, sys
arguments = sys.argv[1:]
if arguments[:2] != ["-m", "compute_optimal"] or arguments[2] not in {verbs}:
    os.execv({python!r}, [{python!r}, *arguments])
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    job = json.dumps([os.getcwd(), arguments[2:]]).encode()
    socket.send_fds(server, [len(job).to_bytes(8, "little")], [1, 2])
    server.sendall(job)
    sys.exit(server.recv(1)[0])
"""


def install(folder: Path, address: Path) -> None:
    """Write the ``python`` that asks the server at ``address`` into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    client = folder / "python"
    client.write_text(
        CLIENT.format(python=sys.executable, verbs=VERBS, address=os.fspath(address)),
        encoding="utf-8",
    )
    client.chmod(0o755)


def serve(address: str) -> None:
    """Do one job after the other until killed. The socket appears when it is ready."""
    from vllm import LLM  # noqa: F401 imported before the first job waits for it

    from compute_optimal.cli import main
    from compute_optimal.generate import loading

    for name in ("open_sampling_engine", "open_scoring_engine"):
        setattr(loading, name, _kept_open(getattr(loading, name)))
    share_tokenizers()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen(64)
        while True:
            client, _ = server.accept()
            with client:
                client.sendall(bytes([_job(client, main)]))


def share_tokenizers() -> None:
    """Read equal tokenizer files once.

    A vocabulary of 150,000 tokens takes a second and a tenth of a GB, several times for a model:
    vLLM copies it for other threads, of which there are none.
    """
    from transformers import AutoTokenizer
    from vllm.renderers import hf

    read, known = AutoTokenizer.from_pretrained, {}

    def read_once(folder: str, **options: Any) -> Any:
        files = [Path(folder) / name for name in ("tokenizer.json", "tokenizer_config.json")]
        kind = json.loads((Path(folder) / "config.json").read_bytes())["model_type"]
        key = (kind, *(hashlib.sha256(file.read_bytes()).digest() for file in files))
        if key not in known:
            known[key] = read(folder, **options)
        return known[key]

    AutoTokenizer.from_pretrained = read_once
    hf.maybe_make_thread_pool = lambda *_: None


def _job(client: socket.socket, main: Callable[[list[str]], int]) -> int:
    length, outputs, _, _ = socket.recv_fds(client, 8, 2)
    size = int.from_bytes(length, "little")
    job = b""
    while len(job) < size:
        job += client.recv(size - len(job))
    folder, arguments = json.loads(job)
    os.chdir(folder)
    for descriptor, target in zip(outputs, (1, 2), strict=True):
        os.dup2(descriptor, target)
        os.close(descriptor)
    try:
        status = main(arguments)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        status = 3
    sys.stdout.flush()
    sys.stderr.flush()
    # Whoever reads the job's output waits for its end.
    with Path(os.devnull).open("wb") as nothing:
        for target in (1, 2):
            os.dup2(nothing.fileno(), target)
    return status


def _kept_open(open_engine: Callable[..., Any]) -> Callable[..., Any]:
    engines: dict[str, Any] = {}

    def open_once(*arguments: Any, **settings: Any) -> Any:
        # The share of a GPU's memory says nothing on a CPU, and differs from job to job.
        key = repr((arguments, sorted((settings | {"gpu_memory": None}).items())))
        if key not in engines:
            engines[key] = engine = open_engine(*arguments, **settings | {"kv_cache_gib": 0.06})
            engine.close = lambda: None
        return engines[key]

    return open_once


if __name__ == "__main__":
    serve(sys.argv[1])
