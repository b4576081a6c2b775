"""When the priced jobs of a study run on several GPUs: how large ones are split, how busy GPUs are.

Pure functions of prices, GPU needs and what waits for what. The graph is run as Snakemake runs it:
whenever a job ends, those that are ready start as long as GPUs are left, in an order that nobody
sets; a job that does not fit is passed by.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from compute_optimal.errors import is_found_here
from compute_optimal.store.partitions import Store, atomic_write, require_writable
from compute_optimal.store.storage import Storage
from compute_optimal.study.cells import Cell, Grid, Job
from compute_optimal.study.config import Study, hardware_named
from compute_optimal.study.cost import LOAD_SECONDS, Plan, describe, plan
from compute_optimal.study.coverage import unreadable_problems

LOAD_HOURS = LOAD_SECONDS / 3600
SHARE_OF_WHOLE = 1 / 16
"""A job that takes more than this share of the time that all work takes on all GPUs is split."""
LEAST_LOADS = 10
"""A job that computes for less than this many times its loading is not split."""
N_ORDERS = 20
"""Random orders of ready jobs over which a schedule is averaged."""


@dataclass(frozen=True)
class Price:
    """What a job takes: hours of ``gpus`` GPUs, loading not counted."""

    hours: float
    gpus: int


@dataclass(frozen=True)
class Schedule:
    """What comes of running all jobs on ``n_gpus`` GPUs, over random orders of ready jobs."""

    n_gpus: int
    n_jobs: int
    """Jobs that run, shards counted."""
    busy: float
    """Mean share of the time to the last job's end in which a GPU computes, loading not counted."""
    least_busy: float
    """The same in the worst of the orders."""
    hours: float
    """Mean time to the end of the last job [h]."""
    too_large: int
    """Jobs that were left out: those that need more GPUs than there are, and those that wait for
    one of them."""


def prices(grid: Iterable[Cell], planned: Plan) -> dict[Job, Price]:
    """Price of every job that has something to do on a GPU. ``grid``: the cells of ``planned``, in
    its order."""
    by_job: dict[Job, Price] = {}
    columns = planned.cells.select("hours", "gpus").iter_rows()
    for cell, (hours, gpus) in zip(grid, columns, strict=True):
        before = by_job.get(cell.job, Price(0.0, gpus))
        by_job[cell.job] = replace(before, hours=before.hours + hours)
    return {job: price for job, price in by_job.items() if price.hours and price.gpus}


def whole_prices(study: Study) -> dict[Job, Price]:
    """Prices of all jobs on the study's hardware as if nothing were stored or measured.

    What is split by them stays as it is while results come in.
    """
    storage = replace(Storage.of(study), store=Store(study.store.writable / "nothing", []))
    return prices(Grid(study), plan(study, *hardware_named(study), storage))


def shard_counts(study: Study, n_gpus: int) -> dict[Job, int]:
    """How many shards each job that needs GPUs is split into (1: whole), so that all of ``n_gpus``
    have work."""
    limits = {task: study.problems or study.task(task).n_problems for task in study.tasks}
    return split(whole_prices(study), n_gpus, limits)


def split(
    priced: Mapping[Job, Price], n_gpus: int, n_problems: Mapping[str, int]
) -> dict[Job, int]:
    """The rule: shards of a job, by the longest that one may take.

    That is ``SHARE_OF_WHOLE`` of the time that all jobs take on all GPUs, or ``LEAST_LOADS`` times
    what it takes to load the models, whichever is more; a job that takes longer becomes equal
    shards, each more than half as long. ``n_problems``, by task, bounds their number: a problem is
    never divided. On one GPU nothing is.
    """
    if n_gpus < 2:
        return dict.fromkeys(priced, 1)
    whole = sum(price.hours * price.gpus for price in priced.values()) / n_gpus
    longest = max(SHARE_OF_WHOLE * whole, LEAST_LOADS * LOAD_HOURS)
    return {
        job: max(1, min(n_problems[job.task], math.ceil(price.hours / longest)))
        for job, price in priced.items()
    }


def simulated(
    priced: Mapping[Job, Price], shards: Mapping[Job, int], n_gpus: int, n_orders: int = N_ORDERS
) -> Schedule:
    """Jobs on ``n_gpus`` GPUs, simulated in ``n_orders`` random orders, always the same ones.

    Scores of a pool wait for its samples, all shards of them; searches wait for nothing.
    """
    fitting = {
        job: price
        for job, price in priced.items()
        if max(price.gpus, priced.get(_waits_for(job), price).gpus) <= n_gpus
    }
    nodes: list[_Node] = []
    for job, price in fitting.items():
        n = shards.get(job, 1)
        nodes += [_Node(job, price.gpus, price.hours / n)] * n
    waits_for = {job: _waits_for(job) for job in fitting}
    generator = random.Random(0)
    work = sum(node.hours * node.gpus for node in nodes)
    spans = [
        _makespan(generator.sample(nodes, len(nodes)), waits_for, n_gpus) for _ in range(n_orders)
    ]
    shares = [work / (n_gpus * span) if span else 0.0 for span in spans]
    return Schedule(
        n_gpus, len(nodes), fmean(shares), min(shares), fmean(spans), len(priced) - len(fitting)
    )


def _waits_for(job: Job) -> Job:
    """The job that one waits for, if that is to be done: scores for their samples; else itself."""
    return job._replace(kind="samples", prm=None) if job.kind == "step_scores" else job


@dataclass(frozen=True)
class _Node:
    """A job, or a shard of one."""

    job: Job
    gpus: int
    hours: float


def _makespan(nodes: Sequence[_Node], waits_for: Mapping[Job, Job], n_gpus: int) -> float:
    """Time [h] at which the last of the ``nodes`` ends when those that are ready start in their
    order. Each loads for ``LOAD_HOURS`` first."""
    unfinished: dict[Job, int] = {}
    for node in nodes:
        unfinished[node.job] = unfinished.get(node.job, 0) + 1
    waiting, running = list(nodes), list[tuple[float, int, _Node]]()
    free, now, n_started = n_gpus, 0.0, 0
    while waiting or running:
        later = []
        for position, node in enumerate(waiting):
            if not free:
                later += waiting[position:]
                break
            first = waits_for[node.job]
            if node.gpus <= free and (first == node.job or not unfinished.get(first)):
                free -= node.gpus
                n_started += 1
                heapq.heappush(running, (now + LOAD_HOURS + node.hours, n_started, node))
            else:
                later.append(node)
        waiting = later
        now, _, ended = heapq.heappop(running)
        free += ended.gpus
        unfinished[ended.job] -= 1
    return now


def busy_lines(study: Study, planned: Plan, sizes: Sequence[int] = (1, 4, 8)) -> list[str]:
    """What a plan says of its jobs on machines of several ``sizes`` [GPUs], a line each, for
    people; none where nothing needs a GPU."""
    priced = prices(Grid(study), planned)
    if not priced:
        return []
    lines = []
    for n_gpus in sizes:
        run = simulated(priced, shard_counts(study, n_gpus), n_gpus)
        parts = []
        if run.n_jobs:
            parts.append(
                f"{run.hours:,.1f} hours in {_jobs(run.n_jobs)}, GPUs busy {run.busy:.0%} of the "
                f"time (at worst {run.least_busy:.0%}, by simulation)"
            )
        if run.too_large:
            parts.append(
                f"left out: {_jobs(run.too_large)}, for want of GPUs or of samples that want them"
            )
        lines.append(f"{n_gpus} GPU{'s' if n_gpus > 1 else ''}:".ljust(11) + "; ".join(parts))
    return lines


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"


def plan_study(study: Study, hardware: str | None, by: str, output: Path | None) -> Iterator[str]:
    """The command ``plan``: a table (``cost.describe``), how busy GPUs would be, every cell as CSV
    in ``output``; and which problems of one's own are not at hand.

    Raises ``StudyError`` for unknown ``hardware``, an ``output`` that cannot be written, as
    ``cost.plan`` does, and after all is said for problems that are at hand and are not what the
    registry says.
    """
    if output:
        require_writable(output)
    planned = plan(study, *hardware_named(study, hardware))
    yield describe(planned, by)
    yield from busy_lines(study, planned)
    if output:
        with atomic_write(output) as file:
            planned.cells.write_csv(file)
        yield f"every cell: {output}"
    for task, error in unreadable_problems(study, planned.cells, Storage.of(study)):
        if is_found_here(error):
            raise error
        yield f"problems:  those of {task} are needed: {error}"
