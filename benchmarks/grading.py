"""Grading: this study's way against one call of math-verify for every rollout.

    PYTHONPATH=workflow python benchmarks/grading.py

Two sets of rollouts: the adopted run on MATH-500, three a problem, and a shipped pool of the scale
model, 64 a problem. The study's way also groups the answers of each problem into classes for the
vote, which the other does not. Both start cold: workers and the import of the library count.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor

import polars as pl
from workbench import POLICY, ROOT, TASK, ratio, write_result

from compute_optimal.judge.answers import answers_of_adopted
from compute_optimal.judge.grading import extract_answer, grade
from compute_optimal.store import places
from compute_optimal.store.storage import Storage
from compute_optimal.study import cells
from compute_optimal.study.config import Study, load_study

COLLECTION = "qwen2.5-1.5b-math-shepherd"
Rollout = tuple[str, str | None]


def one_by_one(golds: Mapping[str, str], rollouts: Sequence[Rollout]) -> list[bool]:
    """Verdicts of a loop over (problem, answer) that calls math-verify each time."""
    from math_verify import parse, verify

    return [
        answer is not None and verify(parse(f"${golds[problem]}$"), parse(f"$\\boxed{{{answer}}}$"))
        for problem, answer in rollouts
    ]


def the_studys(golds: Mapping[str, str], rollouts: Sequence[Rollout], workers: int) -> list[bool]:
    """Verdicts of the study on the same."""
    frame = pl.DataFrame(rollouts, {"problem_id": pl.String(), "answer": pl.String()}, orient="row")
    graded = grade(golds, frame.with_columns(count=1), workers=workers)
    verdicts = frame.join(
        graded, on=["problem_id", "answer"], how="left", nulls_equal=True, maintain_order="left"
    )
    return verdicts["correct"].fill_null(False).to_list()


def sources(study: Study) -> dict[str, tuple[dict[str, str], list[Rollout]]]:
    """Gold answers and rollouts of each set."""
    storage, entry = Storage.of(study), study.adopted_collection(COLLECTION)

    def golds(task: str, key: str) -> dict[str, str]:
        return dict(storage.facts(study.task(task), None).select(key, "answer").iter_rows())

    adopted = answers_of_adopted(cells.adopted_spec(entry), storage)
    spec = cells.sample_spec(study, TASK, POLICY, "evaluation")
    pool = places.partition(storage.store, spec).read("samples", ["text"])
    return {
        "adopted run": (
            golds(entry.task, "problem_id"),
            adopted.select("problem_id", "answer").rows(),
        ),
        "pool": (
            golds(TASK, "problem_hash"),
            [
                (problem, extract_answer(text))
                for problem, text in pool.select("problem_hash", "text").iter_rows()
            ],
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    figures: dict[str, object] = {**vars(arguments)}
    for source, (golds, rollouts) in sources(load_study(ROOT / "config/config.yaml")).items():
        seconds: dict[str, list[float]] = {"one by one": [], "the study's": []}
        verdicts: dict[str, list[bool]] = {}
        for _ in range(arguments.rounds):
            for name, grader, options in (
                ("one by one", one_by_one, ()),
                ("the study's", the_studys, (arguments.workers,)),
            ):
                with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as fresh:
                    started = time.perf_counter()
                    verdicts[name] = fresh.submit(grader, golds, rollouts, *options).result()
                    seconds[name].append(time.perf_counter() - started)
        pairs = zip(*verdicts.values(), strict=True)
        figures[source] = {
            "rollouts": len(rollouts),
            "different_verdicts": sum(one != other for one, other in pairs),
            "seconds": seconds,
            "times_faster": round(ratio(seconds, "one by one", "the study's"), 1),
        }
    write_result("grading", figures)


if __name__ == "__main__":
    main()
