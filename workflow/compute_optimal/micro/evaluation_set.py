"""Which problems the scale model is evaluated on, by how a pilot graded candidates.

The first task: so that every policy has easy and hard ones.
Most problems are easy for the largest policies, and which ones are hard differs from policy to
policy. So problems are chosen from many candidates by how a pilot graded them: of every bucket of
every policy the same number, as far as the candidates hold it, so that no policy has more say
than another. The second task, in AIME24's place: problems that are hard for every policy and not
hopeless. The pilot's samples serve nothing else; the buckets of a study are made from its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from compute_optimal.errors import StudyError
from compute_optimal.present.query import run_query
from compute_optimal.ship.expected import DATABASE
from compute_optimal.study.config import Study


def choose_by_pilot(
    study: Study, of_each_bucket: int | None, hard: bool, n_problems: int
) -> Iterator[str]:
    """The command ``choose-problems``: numbers for the registry, from the results of a pilot.

    The candidates are the study's first task. Yields the choice of ``choose_hard_problems`` if
    ``hard`` or without ``of_each_bucket``, else that of ``choose_problems``; then how many of them
    lie in each bucket of each policy. Raises ``StudyError`` as they do.
    """
    buckets: dict[str, list[str]] = {}
    for row in run_query("candidates", study.results / DATABASE, {"task": study.tasks[0]}):
        buckets.setdefault(row["policy"], []).append(row["bucket"])
    if hard or of_each_bucket is None:
        numbers = choose_hard_problems(buckets, n_problems=n_problems)
    else:
        numbers = choose_problems(buckets, of_each_bucket=of_each_bucket, n_problems=n_problems)
    # A later round of a pilot has some of the candidates alone, and these keep their numbers.
    parameters = study.task(study.tasks[0]).parameters
    of_all = parameters.numbers if parameters else None
    yield f"numbers: {[of_all[number] for number in numbers] if of_all else numbers}"
    for policy, all_buckets in buckets.items():
        counts = Counter(all_buckets[number] for number in numbers)
        yield f"{policy}: {counts['easy']} easy, {counts['medium']} medium, {counts['hard']} hard"


def choose_problems(
    buckets: Mapping[str, Sequence[str]], *, of_each_bucket: int, n_problems: int
) -> list[int]:
    """Numbers of ``n_problems`` of the candidates, rising.

    ``buckets``: policy -> the bucket of every candidate, in the order of their numbers. One after
    the other, a candidate is taken if it lies in a bucket of a policy of which fewer than
    ``of_each_bucket`` are taken so far; what then lacks is filled up with the first candidates
    that are left. A bucket may hold fewer in the end: those that the candidates have.

    Raises ``StudyError`` where the buckets ask for more than ``n_problems``, too few candidates are
    there, or policies have graded different numbers of them.
    """
    candidates = _candidates(buckets)
    if len(candidates) < n_problems:
        raise StudyError(
            f"{n_problems} problems are wanted, and there are {len(candidates)} candidates",
            cure="raise n_problems of the candidates' task in the registry",
        )
    taken: list[int] = []
    counts: Counter[tuple[int, str]] = Counter()
    for number, candidate in enumerate(candidates):
        places = list(enumerate(candidate))
        if any(counts[place] < of_each_bucket for place in places):
            taken.append(number)
            counts.update(places)
    if len(taken) > n_problems:
        raise StudyError(
            f"{of_each_bucket} problems of each bucket of each policy make {len(taken)}, "
            f"more than {n_problems}",
            cure="ask for fewer of each bucket, or for more problems",
        )
    left = sorted(set(range(len(candidates))) - set(taken))
    return sorted(taken + left[: n_problems - len(taken)])


def _candidates(buckets: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Of every candidate its bucket for each policy.

    Raises ``StudyError`` where the policies have not graded the same candidates.
    """
    sizes = {policy: len(of_policy) for policy, of_policy in buckets.items()}
    if not sizes or len({*sizes.values()}) > 1:
        said = ", ".join(f"{policy} {n}" for policy, n in sizes.items())
        raise StudyError(
            f"not every policy has graded the same candidates: {said}"
            if sizes
            else "no policy has graded any candidate of the pilot",
            cure="run the pilot to its end: make choose-problems, or make choose-hard-problems",
        )
    return list(zip(*buckets.values(), strict=True))


def choose_hard_problems(buckets: Mapping[str, Sequence[str]], *, n_problems: int) -> list[int]:
    """Numbers of ``n_problems`` candidates, rising, that fewest policies find easy: of those that
    one policy at least finds medium, so that they are not hopeless, and of equals the first.

    ``buckets`` as of ``choose_problems``. Raises ``StudyError`` where the pilot finds too few, or
    policies have graded different numbers of candidates.
    """
    candidates = _candidates(buckets)
    medium = [number for number, candidate in enumerate(candidates) if "medium" in candidate]
    if len(medium) < n_problems:
        raise StudyError(
            f"{n_problems} problems are wanted, and the pilot found {len(medium)} of "
            f"{len(candidates)} candidates that are medium for a policy",
            cure="raise n_problems of the candidates' task in the registry, or its min_operations",
        )
    medium.sort(key=lambda number: candidates[number].count("easy"))
    return sorted(medium[:n_problems])
