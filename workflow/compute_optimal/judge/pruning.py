"""When a search lost the right path, for tasks of which every step can be checked exactly."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from compute_optimal.judge.answers import stored_rows
from compute_optimal.policies.steps import STEP_DELIMITER, split_steps
from compute_optimal.store import units
from compute_optimal.store.columns import COUNT, TEXT, Column, Columns, common
from compute_optimal.store.places import partition
from compute_optimal.store.storage import Storage
from compute_optimal.study.requests import PrmSearchPart
from compute_optimal.tasks import Problem
from compute_optimal.tasks.arithmetic_chains import StepCheck

Check = Callable[[str, Sequence[str]], StepCheck]

PRUNING = Columns(
    "What became of the right paths of a search, one row per search and problem",
    {
        "prm": Column(TEXT, "PRM that the search asked"),
        "method": Column(TEXT, "Search: beam_search or dvts"),
        "budget": Column(COUNT, "Budget N; of DVTS the largest"),
        **common("problem_id"),
        "outcome": Column(
            TEXT, "found: a right path was kept to its end; pruned: none was kept; not_written"
        ),
        "depth": Column(COUNT, "Number of steps at which the right paths ended"),
    },
)
"""A right path has right steps only, from the first one on.

``outcome``: "found" (a right path was kept to its end), "pruned" (at ``depth`` steps right paths
were among the candidates and none was kept), "not_written" (at ``depth`` none was among them).
DVTS is taken at its largest N, over all of its subtrees.
"""

_PROBLEM = ["search", "problem_hash"]
_TREE = [*_PROBLEM, "subtree"]
_IS_CANDIDATE = pl.col("fate").is_in(["kept", "pruned"])


def pruned_paths(
    searches: Sequence[PrmSearchPart],
    storage: Storage,
    problems: Sequence[Problem],
    check: Check,
) -> pl.DataFrame:
    """What became of the right paths of one (task, policy): a table of ``PRUNING``.

    Raises ``StudyError`` where the store has lost rows that were there when the job was planned.
    """
    texts = {problem.problem_hash: problem.problem for problem in problems}

    def is_right(problem_hash: str, path: str) -> bool:
        steps = split_steps(path)
        return bool(steps) and all(check(texts[problem_hash], steps).correct)

    frames = []
    for i, search in enumerate(searches):
        columns = ["depth", "parent", "text", "fate", "finished"]
        nodes = units.nodes(storage.store, search.spec, columns)
        directory = partition(storage.store, search.spec).directory
        # Most nodes say what a sibling has said. The first of a tree stays: it was searched.
        nodes = stored_rows(nodes, directory).filter(
            pl.col("problem_hash").is_in([*texts]),
            pl.col("subtree") < search.subtrees,
            _IS_CANDIDATE | (pl.col("node") == 0),
        )
        frames.append(nodes.with_columns(search=pl.lit(i)))
    if not frames:
        return pl.DataFrame(schema=PRUNING)
    facts = pl.DataFrame(
        [(i, s.prm, s.method, s.budget) for i, s in enumerate(searches)],
        {"search": pl.Int32(), **{name: PRUNING[name] for name in ("prm", "method", "budget")}},
        orient="row",
    )
    ids = pl.DataFrame(
        [(problem.problem_id, problem.problem_hash) for problem in problems],
        ["problem_id", "problem_hash"],
        orient="row",
    )
    # All searches at once: they meet the same paths again and again.
    of_searches = outcomes(pl.concat(frames), is_right)
    return (
        facts.join(ids, how="cross", maintain_order="left_right")
        .join(of_searches, on=_PROBLEM, maintain_order="left")
        .select(pl.col(name).cast(kind) for name, kind in PRUNING.items())
    )


def outcomes(nodes: pl.DataFrame, is_right: Callable[[str, str], bool]) -> pl.DataFrame:
    """``search``, ``problem_hash``, ``outcome`` and ``depth``, from the ``nodes`` of searches.

    Those of a tree stand together. ``is_right`` tells whether all steps of a path (of a problem's
    hash) are right.
    """
    # Trees by number, nodes by depth: joins over all nodes by all keys took most of the time.
    candidates = (
        nodes.with_columns(tree=pl.struct(_TREE).rle_id())
        .filter(_IS_CANDIDATE)
        .with_columns(kept=pl.col("fate") == "kept")
        .select(*_PROBLEM, "tree", "depth", "node", "parent", "text", "finished", "kept")
    )
    of_depths = candidates.partition_by("depth", as_dict=True)
    first = of_depths.get((1,), candidates.clear())
    level, depth, right = first.with_columns(path="text"), 1, []
    while level.height:
        paths = level.select("problem_hash", "path").unique()
        are_right = [is_right(*path) for path in paths.iter_rows()]
        paths = paths.filter(pl.Series(are_right, dtype=pl.Boolean))
        level = level.join(paths, on=["problem_hash", "path"], how="semi")
        right.append(level)
        above, depth = level.select("tree", parent="node", above="path"), depth + 1
        level = of_depths.get((depth,), candidates.clear()).join(above, on=["tree", "parent"])
        level = level.with_columns(
            path=pl.concat_str("above", "text", separator=STEP_DELIMITER)
        ).drop("above")
    last = pl.col("depth") == pl.col("depth").max()
    reached = (
        pl.concat(right or [candidates.clear()], how="diagonal")
        .group_by(_PROBLEM)
        .agg(
            deepest=pl.col("depth").max(),
            ended=(pl.col("kept") & pl.col("finished")).any(),
            went_on=(pl.col("kept") & last).any(),
        )
    )
    return (
        nodes.select(_PROBLEM)
        .unique()
        .join(reached, on=_PROBLEM, how="left")
        .select(
            *_PROBLEM,
            outcome=pl.when("ended")
            .then(pl.lit("found"))
            .when(~pl.col("went_on"))
            .then(pl.lit("pruned"))
            .otherwise(pl.lit("not_written")),
            depth=pl.when(pl.col("went_on") & ~pl.col("ended"))
            .then(pl.col("deepest") + 1)
            .otherwise(pl.col("deepest").fill_null(1)),
        )
    )
