"""What makes a pool of samples not what it seems: found from the texts and answers alone.

Completions that lie under the wrong problems, beams of a search that pass for samples, and copies.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

from compute_optimal.policies.steps import split_steps

BATCH = 25
"""Problems that search-and-learn samples together (its ``search_batch_size``)."""

_FEWEST = 50
"""With fewer completions nothing is concluded from how many are right."""

SHARED_STEPS = 3
"""Two samples that begin with so many equal steps did not come about independently."""

A_SEARCH = 0.25
"""Share of such pairs above which a file is taken for a search, whatever it is called."""

_MARKS = re.compile(r"\s+|\\left|\\right|\\[!,;]|\$")


@dataclass(frozen=True)
class Placement:
    """Whether completions lie under their own problems, and which share of all is right (0 to 1).

    ``share_right``: as they stand; ``share_mended``: in the order of ``sources``;
    ``share_elsewhere``: under another problem, on average. Verdicts: "as they stand", also where
    there are too few to tell; "permuted": they lie as ``sources`` says, which ``share_mended``
    proves; "foreign": no better than under any other problem, and not permuted in the known way.
    """

    verdict: Literal["as they stand", "permuted", "foreign"]
    share_right: float
    share_mended: float
    share_elsewhere: float


def sources(n_rows: int, n_completions: int) -> list[list[tuple[int, int]]]:
    """Where the completions of each row lie, (row, position), in a file that was cut wrongly.

    The code lists the prompts of a batch n times one after the other, and cuts what comes back
    into consecutive blocks of n: completion number k of a batch of m problems is problem k mod m's.
    """
    places: list[list[tuple[int, int]]] = []
    for start in range(0, n_rows, BATCH):
        size = min(BATCH, n_rows - start)
        for row in range(size):
            numbers = range(row, size * n_completions, size)
            places.append([(start + k // n_completions, k % n_completions) for k in numbers])
    return places


def placement(golds: Sequence[str], answers: Sequence[Sequence[str | None]]) -> Placement:
    """``golds`` [rows] and ``answers`` [rows][n] of a file, in its order, n the same everywhere.

    A comparison of spellings is enough here: all three shares miss the same right answers.
    """
    wanted = [_plain(gold) for gold in golds]
    given = [[None if answer is None else _plain(answer) for answer in row] for row in answers]
    n = len(given[0])
    total = len(given) * n
    right = sum(a == gold for gold, row in zip(wanted, given, strict=True) for a in row) / total
    moved = sources(len(given), n)
    mended = sum(
        given[r][j] == gold for gold, places in zip(wanted, moved, strict=True) for r, j in places
    )
    counts = Counter(wanted)
    others = max(len(wanted) - 1, 1)
    elsewhere = sum(
        (counts[a] - (a == gold)) / others
        for gold, row in zip(wanted, given, strict=True)
        for a in row
        if a is not None
    )
    after, chance = mended / total, elsewhere / total
    verdict: Literal["as they stand", "permuted", "foreign"] = "as they stand"
    if total >= _FEWEST and n > 1:
        if after > 2 * right and after - right > 5 * _error(right, total, after):
            verdict = "permuted"
        elif len(given) > 1 and right - chance <= 3 * _error(chance, total):
            verdict = "foreign"
    return Placement(verdict, right, after, chance)


@dataclass(frozen=True)
class Agreement:
    """Shares of equal answers (0 to 1): of pairs in one row, and of pairs ``BATCH`` places apart in
    the order of the file. Of a file that was cut as ``sources`` says the latter answer one problem.
    """

    share_in_row: float
    share_across: float
    n_in_row: int
    n_across: int

    @property
    def is_across_rows(self) -> bool:
        """Whether it is clear that the answers to one problem lie in different rows."""
        if min(self.n_in_row, self.n_across) < _FEWEST:
            return False
        error = _error(self.share_across, self.n_across)
        return (
            self.share_across > 2 * self.share_in_row
            and self.share_across - self.share_in_row > 3 * error
        )


def agreement_of(answers: Sequence[Sequence[str | None]]) -> Agreement:
    """``answers`` [rows][n] of a file in its order, which may lack rows, and n may differ."""
    n_in_row = sum(math.comb(len(row), 2) for row in answers)
    equal_in_row = sum(
        math.comb(n, 2)
        for row in answers
        for answer, n in Counter(row).items()
        if answer is not None
    )
    flat = [*chain.from_iterable(answers)]
    pairs = [*zip(flat, flat[BATCH:], strict=False)]
    equal_across = sum(one == other for one, other in pairs if one is not None)
    return Agreement(
        equal_in_row / max(n_in_row, 1), equal_across / max(len(pairs), 1), n_in_row, len(pairs)
    )


def _error(share: float, total: int, other: float = 0.0) -> float:
    """Standard error of the difference of two shares, at least 1 / ``total``."""
    return math.sqrt(max(share * (1 - share) + other * (1 - other), 1 / total) / total)


def _plain(answer: str) -> str:
    return _MARKS.sub("", answer).replace("dfrac", "frac").replace("tfrac", "frac")


@dataclass(frozen=True)
class Sharing:
    """Pairs of samples of one problem, and how many of them begin with equal steps."""

    n_pairs: int
    n_shared: int

    @property
    def share(self) -> float:
        return self.n_shared / self.n_pairs if self.n_pairs else 0.0


def shared_beginnings(
    texts: Mapping[str, Iterable[tuple[str, str]]],
) -> tuple[dict[str, Sharing], Sharing]:
    """Pairs that share ``SHARED_STEPS`` first steps: (by file, within it; between files).

    ``texts``: problem -> (file, text) of its samples.
    """
    pairs: Counter[str | None] = Counter()
    shared: Counter[str | None] = Counter()
    for samples in texts.values():
        beginnings = [(file, tuple(split_steps(text)[:SHARED_STEPS])) for file, text in samples]
        _add_pairs(pairs, Counter(file for file, _ in beginnings))
        of_beginning: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for file, steps in beginnings:
            if len(steps) == SHARED_STEPS:
                of_beginning[steps][file] += 1
        for sizes in of_beginning.values():
            _add_pairs(shared, sizes)
    within = {file: Sharing(n, shared[file]) for file, n in pairs.items() if file is not None}
    return within, Sharing(pairs[None], shared[None])


def _add_pairs(pairs: Counter[str | None], sizes: Counter[str]) -> None:
    """Add the pairs of as many samples of each file as ``sizes`` says: within the file, and under
    None those between two files. No pair is gone through: a pool may have tens of thousands of
    samples a problem."""
    between = math.comb(sizes.total(), 2)
    for file, n in sizes.items():
        # A file of one sample has no pair.
        if n_pairs := math.comb(n, 2):
            pairs[file] += n_pairs
            between -= n_pairs
    pairs[None] += between


def by_problem(samples: Iterable[tuple[str, str, str]]) -> dict[str, list[tuple[str, str]]]:
    """(problem, file, text) -> problem -> (file, text)."""
    texts: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for problem, file, text in samples:
        texts[problem].append((file, text))
    return texts
