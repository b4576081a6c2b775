"""The first five minutes on a GPU: whether engines do here what a study relies on.

The same code on a CPU engine, so that what a GPU's owner starts has run before. Each check says
what it expects before it looks, and what to do where it finds something else. The page has all
that a report of a fault needs.
"""

from __future__ import annotations

import math
import os
import platform
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from compute_optimal import __version__
from compute_optimal.engines import NO_ENGINE, engine_version, gpu_memory_gib, runs_on_gpus
from compute_optimal.engines.bandwidth import memory_bandwidth, memory_used_gib
from compute_optimal.engines.devices import LEASES, leased_devices, visible_devices
from compute_optimal.engines.requests import Completion, SampleRequest, ScoreRequest, ScoreResult
from compute_optimal.errors import StudyError
from compute_optimal.generate.jobs import draw_samples
from compute_optimal.generate.loading import Policy, Prm, gpu_shares, open_policy, open_prm
from compute_optimal.micro.process_reward_model import ProcessRewardModel
from compute_optimal.prms import PrmInput
from compute_optimal.ship.report import hand_over, report_page
from compute_optimal.store import places
from compute_optimal.store.partitions import Partition, Store
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import (
    ModelEntry,
    PrmEntry,
    Registry,
    Study,
    load_registry,
    parse_study,
)
from compute_optimal.study.models import lock_models, model_folder
from compute_optimal.study.requests import PoolPart, SamplesRequest
from compute_optimal.tasks.arithmetic_chains import generate, solution_steps

TASK = "arithmetic-chains"
SHIPPED = "data/models"
"""Folder of the models that ship, and can be had on any machine."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    subject: str
    expected: str
    """Said before it was looked at."""
    found: str
    within: bool
    cure: str
    """What to do where it is outside."""
    seconds: float


@dataclass
class Report:
    """All checks, and the facts about this machine."""

    facts: dict[str, str] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return all(check.within for check in self.checks)

    @property
    def html(self) -> str:
        """The page that can be attached to a report of a fault."""
        return report_page("engine_check.html", title="Engines on this machine", report=self)

    @property
    def text(self) -> str:
        """The same for a terminal."""
        lines = [f"{name}: {value}" for name, value in self.facts.items()]
        for check in self.checks:
            lines += [
                f"{'ok     ' if check.within else 'OUTSIDE'} {check.subject}: {check.found}",
                f"        expected: {check.expected} ({check.seconds:.0f} s)",
            ]
            if not check.within:
                lines.append(f"        do: {check.cure}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Sizes:
    """How much is looked at."""

    formats: int = 4
    """PRM formats, of each of which a PRM that ships is looked at."""
    problems: int = 16
    samples: int = 16
    tokens: int = 256
    megabytes: int = 1000
    real_policy: bool = True


QUICK = Sizes(formats=1, problems=3, samples=4, tokens=48, megabytes=50, real_policy=False)
"""A slice of it, for tests."""


@dataclass(frozen=True)
class _Found:
    text: str
    within: bool


def check_engine(study: Study, page: Path, *, quick: bool) -> Iterator[str]:
    """The command ``check-engine``: what was found, in a few lines each, and the page of it.

    ``study``: its registry knows the models. ``quick``: a slice of it. Raises ``StudyError`` where
    anything is outside its expected range, and where nothing can be looked at.
    """
    yield from hand_over(
        lambda: looked_at(study.registry, QUICK if quick else Sizes()),
        page,
        failure="something is outside its expected range",
        cure="the page says for each what to do; attach it to a report",
    )


def looked_at(registry: Path, sizes: Sizes) -> Report:
    """Look at everything. Raises ``StudyError`` only where nothing can be looked at."""
    if engine_version() == NO_ENGINE:
        raise StudyError(
            "there is no engine to look at",
            where=sys.prefix,
            cure="make check-gpu on NVIDIA GPUs, make check-engine on a CPU",
        )
    report = Report()
    started = time.monotonic()
    with TemporaryDirectory() as folder, ExitStack() as stack:
        on_gpu = runs_on_gpus()
        if on_gpu:
            # The policy is small: one GPU is enough.
            stack.enter_context(leased_devices(1, "check-engine"))
        looks = _Looks(registry, Path(folder), sizes, on_gpu, report)
        looks.machine()
        looks.kill_and_resume()
        looks.engines()
    report.facts["took"] = f"{time.monotonic() - started:.0f} s"
    return report


def models_to_look_at(registry: Registry, on_gpu: bool) -> tuple[str, list[str], list[str]]:
    """A policy that ships, the smallest that does not (none or one), and a PRM of each format.

    On GPUs the one that does not ship is the hub's, in half precision; else one in a local folder.
    Raises ``StudyError`` where the registry knows no policy or no PRM that ships.
    """

    def ships(entry: ModelEntry) -> bool:
        return str(entry.path or "").startswith(SHIPPED)

    shipped = sorted(filter(ships, registry.policies.values()), key=lambda e: e.n_parameters)
    others = [
        entry
        for entry in registry.policies.values()
        if (entry.hub_id if on_gpu else entry.path) and not ships(entry)
    ]
    smallest = sorted(others, key=lambda entry: entry.n_parameters)[:1]
    of_format = {entry.format: entry.name for entry in registry.prms.values() if ships(entry)}
    if not shipped or not of_format:
        lacking = "PRM" if shipped else "policy"
        raise StudyError(
            f"there is nothing to look at: no {lacking} of the registry lies in {SHIPPED}",
            where="the study's registry",
            cure="name a study whose registry has the scale model: --config config/config.yaml",
        )
    return (
        shipped[len(shipped) // 2].name,
        [entry.name for entry in smallest],
        list(of_format.values()),
    )


class _Looks:
    """The checks, in their order, each of which adds its finding to the report."""

    def __init__(
        self, registry: Path, folder: Path, sizes: Sizes, on_gpu: bool, report: Report
    ) -> None:
        self._folder, self._sizes, self._on_gpu, self._report = folder, sizes, on_gpu, report
        self._registry = registry
        self._study, self._storage = self._open_study()
        self._policy_name = self._study.policies[0]
        self._problems = generate(sizes.problems, self._study.seed)

    def _open_study(self) -> tuple[Study, Storage]:
        """A study of the policy and PRMs that are looked at, locked as they are now."""
        small, real, prms = models_to_look_at(load_registry(self._registry), self._on_gpu)
        for number, policy in enumerate([*(real if self._sizes.real_policy else []), small]):
            study = parse_study(
                {
                    "name": "check-engine",
                    "registry": str(self._registry),
                    "generate": "missing",
                    "tasks": [TASK],
                    "problems": self._sizes.problems,
                    "policies": [policy],
                    "prms": prms[: self._sizes.formats],
                    "methods": ["majority"],
                    "budgets": [self._sizes.samples],
                    "lock_file": str(self._folder / f"lock-{number}.json"),
                    "store": {"writable": str(self._folder / "store"), "shipped": "none"},
                },
                where="check-engine",
                locking=True,
            )
            try:
                lock = lock_models(study)
                storage = Storage(
                    Store(study.store.writable), study.read_registry, lock.copy, "missing"
                )
                model_folder(study.policy(policy), lock)
            except StudyError as error:
                if policy == small:
                    raise
                self._report.facts["instead of " + policy] = (
                    f"{small}, for it cannot be had: {error.what}"
                )
            else:
                return study, storage
        raise AssertionError("the last policy returns or raises")

    def _look(self, subject: str, expected: str, cure: str, look: Callable[[], _Found]) -> None:
        """Run one check; what it raises is its finding, for later ones may still say something."""
        started = time.monotonic()
        try:
            outcome = look()
        except StudyError as error:
            outcome = _Found(str(error.what), False)
        except Exception as error:
            outcome = _Found(f"{type(error).__name__}: {error}"[:500], False)
        seconds = time.monotonic() - started
        self._report.checks.append(
            Check(subject, expected, outcome.text, outcome.within, cure, seconds)
        )

    # --- the machine ---------------------------------------------------------------------------

    def machine(self) -> None:
        """What it is, and whether its GPUs and its driver answer."""
        facts = self._report.facts
        facts |= {
            "engine": engine_version(),
            "this package": __version__,
            "Python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()} {platform.machine()}",
            "processor cores": str(len(os.sched_getaffinity(0))),
            "policy": self._policy_name,
        }
        if self._on_gpu:
            facts["driver"] = _driver()

        def look() -> _Found:
            devices = visible_devices() or []
            named = "; ".join(f"{d.name} {d.model} {d.uuid}" for d in devices)
            return _Found(named or "none: the engine runs on the CPU", bool(named) == self._on_gpu)

        self._look(
            "devices",
            "at least one GPU" if self._on_gpu else "none, for the engine is the CPU's",
            "see nvidia-smi; where it lists none, install the driver; where it lists one and the "
            "engine is the CPU's: make engine-cuda",
            look,
        )

    # --- a kill and a resume -------------------------------------------------------------------

    def kill_and_resume(self) -> None:
        """Kill a job of the study when its first part is stored, and give its command again."""
        pools = cells.Grid(self._study).of("samples", TASK, self._policy_name)
        (pool,) = (cell.spec for cell in pools if cell.pool == "evaluation")
        n = self._sizes.samples

        def look() -> _Found:
            task = cells.task_spec(self._study.task(TASK))["task"]
            request = SamplesRequest(
                task=task,
                problems=self._sizes.problems,
                pools={"evaluation": PoolPart(n=n, spec=pool)},
            )
            command = [
                *(sys.executable, "-m", "compute_optimal", "draw-samples"),
                *("--spec", request.text, "--output", str(self._folder / "receipt.json")),
                *("--store", str(self._study.store.writable), "--shipped", "none"),
                *("--registry", str(self._study.registry)),
                *("--lock-file", str(self._study.lock_file)),
                *("--generate", "missing", "--part-seconds", "0"),
            ]
            # The GPU is leased by this process, for this job too.
            environment = os.environ | {LEASES: str(self._folder / "leases")}
            cell = places.partition(self._storage.store, pool)
            parts = self._study.store.writable / cell.directory
            with subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            ) as job:
                while job.poll() is None and not list(parts.glob("samples-*.parquet")):
                    time.sleep(0.02)
                killed = job.poll() is None
                job.send_signal(signal.SIGKILL)
                output = job.communicate()[0].decode(errors="replace")
            kept = self._samples(pool)
            if kept.is_empty():
                return _Found(f"the job stored nothing: {output.strip()[-300:]}", False)
            if self._on_gpu:
                # Its memory is free again when it ends, before this process opens an engine.
                done = subprocess.run(
                    command, env=environment, capture_output=True, text=True, check=False
                )
                if done.returncode:
                    return _Found(f"the resumed job failed: {done.stderr.strip()[-300:]}", False)
            else:
                draw_samples(request, self._storage)
            after = self._samples(pool)
            lost = kept.join(after, on=kept.columns, how="anti").height
            twice = stored_twice(cell, "samples")
            wanted = self._sizes.problems * n
            return _Found(
                f"{kept.height} of {wanted} samples stored when it {'was killed' * killed}"
                f"{'ended' * (not killed)}, {lost} of them lost, {after.height} after the resume, "
                f"{twice} stored twice",
                lost == 0 and after.height == wanted and twice == 0,
            )

        self._look(
            "a kill and a resume",
            "nothing lost, nothing twice, all there at the end",
            "see that the disk is local or NFS with working renames; then report it with this page",
            look,
        )

    def _samples(self, spec: Mapping[str, Any]) -> pl.DataFrame:
        rows = places.partition(self._storage.store, spec).read("samples", ["text"])
        return rows.select("problem_hash", "sample_index", "text") if not rows.is_empty() else rows

    # --- engines -------------------------------------------------------------------------------

    def engines(self) -> None:
        """Both engines in this process, and what they answer."""
        before = _rss_gib()
        spec = {"policy": {"name": self._policy_name}, "prm": {"name": self._study.prms[0]}}
        shares = gpu_shares(self._storage, spec) if self._on_gpu else {"policy": 0.45, "prm": 0.45}
        with ExitStack() as stack:
            opened: list[Any] = []

            def both() -> _Found:
                opened.append(
                    stack.enter_context(open_policy(self._storage, spec, shares["policy"]))
                )
                opened.append(stack.enter_context(open_prm(self._storage, spec, shares["prm"])))
                used, total = memory_used_gib(), gpu_memory_gib()
                if used is not None and total is not None:
                    allowed = 0.95 * total
                    return _Found(f"{used:.1f} of {total:.1f} GiB in use", used <= allowed)
                grown = _rss_gib() - before
                return _Found(f"{grown:.1f} GiB of memory", grown <= _CPU_GIB)

            self._look(
                "both engines in one process",
                "at most 95% of the GPU's memory in use"
                if self._on_gpu
                else f"at most {_CPU_GIB:.0f} GiB of memory",
                "end other programs on this GPU; else lower slots or context of the "
                "models in the registry",
                both,
            )
            if len(opened) < 2:
                return
            policy, first = opened
            self._prm_scores(self._study.prms[0], first)
            self._same_seed(policy)
            self._prefix_cache(policy)
            self._speed(policy)
            for name in self._study.prms[1:]:
                with open_prm(self._storage, {"prm": {"name": name}}, shares["prm"] / 2) as prm:
                    self._prm_scores(name, prm)

    def _prm_scores(self, name: str, prm: Prm) -> None:
        """Margins of the engine against a plain forward pass, in float32 and in half precision."""
        entry: PrmEntry = self._study.prm(name)
        inputs = [
            prm.encode(problem.problem, solution_steps(problem.problem, "numbered"))
            for problem in self._problems
        ]
        margins: list[float] = []

        def plain_forward(dtype: str) -> list[float]:
            folder = model_folder(entry, self._storage.lock)
            plain = ProcessRewardModel.load(entry.format, folder)
            if dtype == "bfloat16":
                network: Any = plain.network
                network.bfloat16()
            return [margin for one in inputs for margin in plain.score(one)]

        def in_float32() -> _Found:
            margins.extend(_scores(prm, inputs))
            worst = apart(margins, plain_forward("float32"))
            return _Found(f"at most {worst:.2g} apart, {len(margins)} steps", worst <= bound)

        def in_half() -> _Found:
            pairs = list(zip(margins, plain_forward("bfloat16"), strict=True))
            same = sum((a > 0) == (b > 0) for a, b in pairs)
            found = f"{same} of {len(pairs)} steps on the same side"
            return _Found(found, same >= 0.9 * len(pairs))

        bound = 0.01 if self._on_gpu else 1e-4
        cure = "do not use scores of this engine: report it with this page"
        self._look(
            f"{name} against a plain forward in float32",
            f"probabilities at most {bound:g} apart",
            cure,
            in_float32,
        )
        self._look(
            f"{name} against a plain forward in bfloat16",
            "at least 90% of steps on the same side of one half: what half precision costs",
            "run this PRM in float32 (dtype in the registry)",
            in_half,
        )

    def _same_seed(self, policy: Policy) -> None:
        requests = _requests(policy, self._problems, self._sizes)
        least_again, least_other = (0.5, 0.1) if self._on_gpu else (1.0, 1.0)

        def share(other: Sequence[SampleRequest]) -> _Found:
            first, second = _texts(policy, requests), _texts(policy, other)
            equal = sum(first[key] == second[key] for key in second)
            bound = least_again if len(other) == len(requests) else least_other
            found = f"{equal} of {len(second)} texts equal"
            return _Found(found, equal >= bound * len(second))

        cure = (
            "where texts differ, so do results between runs; each stored sample still stands for "
            "itself. On a CPU report it; on a GPU, other programs on the same GPU change batches"
        )
        self._look("same seeds twice", _texts_equal(least_again), cure, lambda: share(requests))
        self._look(
            "same seeds in other batches",
            _texts_equal(least_other)
            + ("; half precision is not batch-invariant" if self._on_gpu else ""),
            cure,
            lambda: share(requests[:: max(2, len(requests) // 8)]),
        )

    def _prefix_cache(self, policy: Policy) -> None:
        def look() -> _Found:
            ids = policy.prompt_ids(self._problems[0])
            long = (ids * (1 + 160 // len(ids)))[:160]
            requests = [SampleRequest(("cache", i), long, i, 1, 1.0, 1.0, -1) for i in range(2)]
            cached = [_drain(policy.engine, [one])[0].n_cached_tokens for one in requests]
            found = f"{cached[1]} of a prompt's {len(long)} tokens"
            return _Found(found, cached[1] >= 0.75 * len(long))

        self._look(
            "prefix cache",
            "at least 75% of a prompt that was read before is not computed again",
            "searches would compute every prefix anew: report it with this page",
            look,
        )

    def _speed(self, policy: Policy) -> None:
        entry = self._study.policy(self._policy_name)
        n = min(policy.slots, self._sizes.problems * self._sizes.samples)

        def look() -> _Found:
            requests = _requests(policy, self._problems, self._sizes)
            started = time.monotonic()
            answers = _drain(policy.engine, requests)
            speed = sum(len(a.token_ids) for a in answers) / (time.monotonic() - started)
            moved = memory_bandwidth(megabytes=self._sizes.megabytes)
            # Each step reads all weights once and makes a token of every request that runs.
            limit = n * moved / entry.weight_bytes
            share = speed / limit
            return _Found(
                f"{speed:,.0f} tokens/s; {moved / 1e9:,.0f} GB/s, of which {n} requests at a time "
                f"could make {limit:,.0f}: {share:.2%}",
                0.00001 <= share <= 1.0,
            )

        self._look(
            "tokens a second against the limit of memory",
            "from 0.001% to 100% of what reading the weights once a step allows (small models are "
            "far from it: the engine's own scheduler takes longer than a step)",
            "below: another program uses the device, or its clock is throttled (nvidia-smi -q -d "
            "PERFORMANCE); above: the measurement is wrong, report it",
            look,
        )


_CPU_GIB = 8.0
"""Most memory that both engines take on a CPU: 2 GiB of keys and values each, and torch."""


def _requests(policy: Policy, problems: Sequence[Any], sizes: Sizes) -> list[SampleRequest]:
    return [
        SampleRequest((p, i), policy.prompt_ids(problem), 1000 * p + i, sizes.tokens, 0.7, 1.0, -1)
        for p, problem in enumerate(problems)
        for i in range(sizes.samples)
    ]


def _texts_equal(share: float) -> str:
    """What is expected of texts that are drawn again."""
    return "all texts equal" if share == 1 else f"at least {share:.0%} of texts equal"


def _texts(policy: Policy, requests: Sequence[SampleRequest]) -> dict[Any, str]:
    return {answer.key: answer.text for answer in _drain(policy.engine, requests)}


def _scores(prm: Prm, inputs: Sequence[PrmInput]) -> list[float]:
    requests = [ScoreRequest(i, one.token_ids, one.positions) for i, one in enumerate(inputs)]
    answers: dict[Any, ScoreResult] = {a.key: a for a in _drain(prm.engine, requests)}
    return [margin for i in range(len(inputs)) for margin in answers[i].margins]


def _drain(engine: Any, requests: Sequence[SampleRequest | ScoreRequest]) -> list[Any]:
    """Hand over all requests at once and wait for the last."""
    for request in requests:
        engine.submit(request)
    answers: list[Completion | ScoreResult] = []
    while engine.unfinished:
        answers += engine.collect()
    return answers


def stored_twice(cell: Partition, table: str) -> int:
    """Rows of ``table`` in the parts of ``cell`` beyond one of each key: reading all parts together
    gives every key once, whatever they hold."""
    rows = sum(cell.read(table, [], parts=[part]).height for part in cell.parts(table))
    return rows - cell.read(table, []).height


def apart(margins: Sequence[float], others: Sequence[float]) -> float:
    """The largest difference in probability (0 to 1) between margins of the same steps; infinite
    where one is no number, which no comparison of numbers would show."""
    if any(map(math.isnan, [*margins, *others])):
        return math.inf
    pairs = zip(margins, others, strict=True)
    return max(abs(_probability(a) - _probability(b)) for a, b in pairs)


def _probability(margin: float) -> float:
    return 1 / (1 + math.exp(-max(-700.0, min(700.0, margin))))


def _rss_gib() -> float:
    """Most memory that this process has had so far [GiB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _driver() -> str:
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version,name,memory.total", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not known: {error}"
    return "; ".join(dict.fromkeys(done.stdout.strip().splitlines())) or "not known"
