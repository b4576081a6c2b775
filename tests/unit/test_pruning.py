"""Which searches lost a right path, and where."""

from __future__ import annotations

import polars as pl

from compute_optimal.judge.pruning import outcomes

COLUMNS = ["problem_hash", "subtree", "depth", "node", "parent", "text", "fate", "finished"]


def test_a_right_path_is_pruned_where_none_of_the_candidates_is_kept() -> None:
    """Steps that begin with "r" are right; a right step below a wrong one makes no right path."""
    nodes = [
        ("pruned", 0, 1, 0, None, "r1", "kept", False),
        ("pruned", 0, 2, 1, 0, "r2", "pruned", False),
        ("pruned", 0, 2, 2, 0, "w2", "kept", False),
        ("pruned", 0, 3, 3, 2, "r3", "kept", True),
        ("found", 0, 1, 0, None, "r1", "pruned", False),  # another subtree kept one
        ("found", 1, 1, 0, None, "r1", "kept", False),
        ("found", 1, 2, 1, 0, "r2", "kept", True),
        ("stuck", 0, 1, 0, None, "r1", "kept", False),
        ("stuck", 0, 2, 1, 0, "w2", "kept", True),
        ("stuck", 0, 2, 2, 0, "r2", "truncated", False),  # no candidate
        ("never", 0, 1, 0, None, "w1", "kept", True),
    ]
    frame = pl.DataFrame(nodes, COLUMNS, orient="row").with_columns(search=pl.lit(0))
    of_problems = outcomes(frame, lambda _, path: all(s[0] == "r" for s in path.split("\n\n")))
    assert set(of_problems.drop("search").rows()) == {
        ("pruned", "pruned", 2),
        ("found", "found", 2),
        ("stuck", "not_written", 2),
        ("never", "not_written", 1),
    }
