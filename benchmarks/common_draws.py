"""How many tokens searches draw that no earlier search of the same policy has drawn.

    PYTHONPATH=workflow python benchmarks/common_draws.py --problems 10

The searches are the real ones; policy and PRMs are made up. A step has a quality, and a path's is
that of its steps, the later the more; each PRM sees it with a bias of its own for the path.
``--agreement`` is the correlation of two PRMs' scores of one path, ``--stock`` the probability that
a step is one of four that the policy says again and again. All steps are equally long. Printed is,
for each method and budget, the share of new tokens of the first, second, ... PRM, which is what
``cost.NEW_TOKENS`` holds, and the tokens of all searches against those drawn on their own.
"""

from __future__ import annotations

import argparse
import math
import random
from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache

from imitated import Imitation, search_settings, searches_of
from workbench import write_result

from compute_optimal.engines.requests import (
    Completion,
    SampleRequest,
    ScoreRequest,
    ScoreResult,
)
from compute_optimal.prms import PrmInput
from compute_optimal.search import CommonAnswers, SearchResult, run
from compute_optimal.search.common_answers import Drawn, Place
from compute_optimal.tasks import Problem

N_PROMPT = 1
PERSISTENCE = 0.7
"""What of a path's quality is left one step later."""


def normal(*of: object) -> float:
    """A standard normal number that depends on nothing else."""
    return random.Random(repr(of)).gauss(0, 1)


class Policy(Imitation[SampleRequest]):
    """One id a step. From the sixth step on a solution ends with probability 0.2."""

    def __init__(self, stock: float) -> None:
        super().__init__()
        self._stock = stock

    def collect(self) -> list[Completion]:
        return [self._answer(request) for request in self._take(64)]

    def _answer(self, request: SampleRequest) -> Completion:
        chance = random.Random(request.seed)
        depth = len(request.prompt_ids) - N_PROMPT
        ends = depth >= 5 and chance.random() < 0.2
        step = chance.randrange(4) if chance.random() < self._stock else chance.getrandbits(31)
        text = f"{step}" if ends else f"{step}\n\n"
        reason = "eos" if ends else "stop"
        return Completion(request.key, text, (2 * step + ends,), reason, 0.0, 1, 0)  # type: ignore[arg-type]


class Prm(Imitation[ScoreRequest]):
    """Scores a path of steps by its quality and a bias of its own."""

    def __init__(self, number: int, agreement: float) -> None:
        super().__init__()
        self._weights = math.sqrt(agreement), math.sqrt(1 - agreement)
        self._number = number

    def collect(self) -> list[ScoreResult]:
        return [
            ScoreResult(request.key, (self._score(request.token_ids),), len(request.token_ids), 0)
            for request in self._take(64)
        ]

    def _score(self, path: tuple[int, ...]) -> float:
        quality, bias = self._weights
        return quality * lasting(path, 0) + bias * lasting(path, self._number)


@lru_cache(maxsize=100_000)
def lasting(path: tuple[int, ...], source: int) -> float:
    """Variance 1 at any length: what is left of the parent's, and the last step's own."""
    new = normal(path, source)
    if len(path) == 2:
        return new
    return PERSISTENCE * lasting(path[:-1], source) + math.sqrt(1 - PERSISTENCE**2) * new


def encode(question: str, steps: Sequence[str]) -> PrmInput:
    """The problem's number and a number for each step; the last is where the score is read."""
    ids = (int(question), *map(int, steps))
    return PrmInput(ids, tuple(range(1, len(ids))))


def shares(
    budgets: Sequence[int], n_prms: int, n_problems: int, agreement: float, stock: float
) -> tuple[dict[tuple[str, int], list[float]], float]:
    """Share of new tokens by method and budget, one for each PRM; and of all searches together."""
    settings = search_settings("simulation")
    drawn: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * n_prms)
    new: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * n_prms)
    for number in range(n_problems):
        problem = Problem(f"p{number}", str(number), "0", None, None)
        drawn_before: dict[Place, Drawn] = {}
        for rank in range(n_prms):

            def count(result: SearchResult, rank: int = rank) -> None:
                cell = result.method, result.budget or max(budgets)
                generated = sum(ledger.generated_tokens for ledger in result.ledgers)
                drawn[cell][rank] += generated
                new[cell][rank] += generated - sum(x.shared_tokens for x in result.ledgers)

            common = CommonAnswers(
                lambda _, known=drawn_before: tuple(known.items()),  # type: ignore[misc]
                lambda _, new_answers, known=drawn_before: known.update(new_answers),  # type: ignore[misc]
            )
            run(
                searches_of(problem, (0,) * N_PROMPT, budgets, max(budgets), settings, encode),
                sampling=Policy(stock),
                scoring=Prm(rank + 1, agreement),
                on_finished=count,
                max_in_flight=512,
                common=common,
            )
            common.forget_all()
    by_cell = {
        cell: [part / whole for part, whole in zip(new[cell], drawn[cell], strict=True)]
        for cell in drawn
    }
    total = sum(map(sum, new.values())) / sum(map(sum, drawn.values()))
    return by_cell, total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", type=int, default=10)
    parser.add_argument("--prms", type=int, default=7)
    parser.add_argument("--budgets", type=int, nargs="+", default=[4, 16, 64, 256])
    parser.add_argument("--agreement", type=float, default=0.5)
    parser.add_argument("--stock", type=float, default=0.1)
    arguments = parser.parse_args()
    by_cell, total = shares(
        arguments.budgets,
        arguments.prms,
        arguments.problems,
        arguments.agreement,
        arguments.stock,
    )
    write_result(
        "common_draws",
        {
            **vars(arguments),
            "new_tokens": {
                f"{method} {budget}": [round(share, 2) for share in of_prms]
                for (method, budget), of_prms in by_cell.items()
            },
            "new_tokens_of_all": round(total, 3),
        },
    )


if __name__ == "__main__":
    main()
