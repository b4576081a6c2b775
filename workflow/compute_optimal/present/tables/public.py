"""Real models, by rollouts that others ran and published: comparisons with paired intervals."""

from __future__ import annotations

import re
from collections.abc import Sequence

from compute_optimal.analyse.paper_rule import methods_of_paper
from compute_optimal.analyse.quantities import compared, compared_both_ways
from compute_optimal.present import style
from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import (
    UNKNOWN,
    Cell,
    Column,
    Table,
    percent_of,
    product,
)

_FIRST_SEARCH = 4
"""The ``place`` of searches in the query ``public_methods`` is this or more."""
_METHODS = {
    "one_sample": "one sample",
    **{name: look.label for name, look in style.METHODS.items()},
}
_AGGREGATIONS = {
    None: "none", "prm_min": "PRM-Min", "prm_last": "PRM-Last", "prm_avg": "PRM-Avg",
    "prm_max": "Max", "prm_vote": "Vote", "majority": "majority",
}  # fmt: skip
_RULES = {
    "in_sample": "chosen on the same problems (the paper's Equation 3)",
    "fixed_rule": "the paper's fixed rule by size",
    "cross_fitted": "chosen on other problems",
    "oracle": "the best of each problem",
    "optimism_gap": "optimism: same minus other problems",
}


def small_against_large(rows: Sequence[Row], title: str) -> Table:
    """A row per small policy, large one and N: the difference on all problems and on those that the
    large one answers, and FLOPs of each side."""
    columns = [
        Column("small", "Small policy with TTS"),
        Column("budget_samples", "N", "number", digits=0),
        Column("large", "Large policy with CoT"),
        Column("problems", "Problems", "number", digits=0),
        Column("small_percent", "Accuracy, small (%)", "number"),
        Column("large_percent", "large (%)", "number"),
        Column("difference_points", "Difference (points), no answer is wrong", "estimate"),
        Column("answered", "Problems that the large one answers", "number", digits=0),
        Column("difference_answered_points", "Difference on these (points)", "estimate"),
        Column("small_without_answer_percent", "Samples without an answer, small (%)", "number"),
        Column("large_without_answer_percent", "large (%)", "number"),
        _flops("small_inference", "FLOPs a problem, 2ND: small"),
        _flops("small_inference_with_prm", "with the PRM"),
        _flops("large_inference", "large"),
        _flops("small_pretraining", "Pre-training FLOPs, 6ND: small"),
        _flops("large_pretraining", "large"),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        every, answered = compared_both_ways(row)
        small = product(2, row["n_parameters"], row["small_tokens"])
        of_prm = product(2, row["prm_n_parameters"], row["small_tokens"])
        body.append(
            [
                row["policy_title"],
                row["budget"],
                row["large_title"],
                every.n_problems,
                every.value,
                every.reference,
                every.difference,
                answered.n_problems,
                answered.difference or UNKNOWN,
                100 * row["small_without_answer"],
                100 * row["large_without_answer"],
                _known(small),
                _known(None if small is None or of_prm is None else small + of_prm),
                _known(product(2, row["large_n_parameters"], row["large_tokens"])),
                _known(product(6, row["pretraining_parameters"], row["training_tokens"])),
                _known(
                    product(6, row["large_pretraining_parameters"], row["large_training_tokens"])
                ),
            ]
        )
    notes = [
        "Small: the strategy (majority voting, or best-of-N with the PRM under each scoring and "
        "voting) that does best on other problems of the task; N is exact over all subsets of the "
        "pool. Large: one greedy answer. In brackets: intervals over problems, paired. A sample "
        "without an answer is wrong, on both sides; beside it, the same on the problems that the "
        "large one answers at all. The two sides were asked with different prompts and had 2,048 "
        "new tokens each at most; the large ones were to write JSON, and what is missing there "
        "makes the comparison unfair to just that extent.",
        "FLOPs by the paper's formulas for dense models: two per parameter and generated token "
        "(the PRM reads each once more), six per parameter and training token. Tokens of the "
        "small policies were counted again from their texts. Unknown: parameters, training tokens "
        "or generated tokens are not published.",
    ]
    return Table(title, columns, body, notes)


def methods(rows: Sequence[Row], title: str) -> Table:
    """A row per pair of ways to use a model, on the problems that have both."""
    columns = [
        Column("policy", "Policy"),
        Column("method", "Method"),
        Column("prm", "PRM"),
        Column("budget_samples", "N", "number", digits=0),
        Column("against_policy", "Against: policy"),
        Column("against_method", "method"),
        Column("against_prm", "PRM"),
        Column("against_budget_samples", "N", "number", digits=0),
        Column("problems", "Problems", "number", digits=0),
        Column("percent", "Accuracy (%)", "number"),
        Column("against_percent", "against (%)", "number"),
        Column("difference_points", "Difference (points)", "estimate"),
        Column("repetitions", "Repetitions", "number", digits=0),
        Column("lowest_percent", "lowest (%)", "number"),
        Column("highest_percent", "highest (%)", "number"),
        Column("tokens", "Tokens a problem", "number", digits=0),
        Column("against_tokens", "against", "number", digits=0),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        pair = compared(row)
        runs = row["run_accuracies"] or []
        once: Cell = "one run" if row["place"] >= _FIRST_SEARCH else "a pool"
        body.append(
            [
                row["policy_title"],
                method_name(row["method"]),
                row["prm_title"] or "none",
                row["budget"],
                "the same" if row["other_policy"] == row["policy"] else row["other_title"],
                method_name(row["other_method"]),
                row["other_prm_title"] or "none",
                row["other_budget"],
                pair.n_problems,
                pair.value,
                pair.reference,
                pair.difference,
                len(runs) or once,
                100 * min(runs) if runs else once,
                100 * max(runs) if runs else once,
                _known(row["tokens"]),
                _known(row["other_tokens"]),
            ]
        )
    notes = [
        "On the problems that both have; in brackets, intervals over problems, paired. Numbers of "
        "a pool are exact over all subsets of N samples. A search that was repeated is the mean "
        "of its repetitions, whose lowest and highest accuracy stand beside it. Tokens: the mean "
        "of a problem, with those of paths that a search threw away; samples of search-and-learn "
        "were counted again from their texts. Unknown: the files do not say what was thrown away. "
        "N of a tree search of OpenR is its number of paths. Collections differ in prompt and "
        "limit of tokens: only rows against the same policy compare nothing but the method.",
    ]
    return Table(title, columns, body, notes)


def pools(rows: Sequence[Row], title: str) -> Table:
    """A row per strategy and N of a pool, for all problems and by difficulty."""
    columns = [
        Column("policy", "Policy"),
        Column("prm", "PRM"),
        Column("problems_of", "Problems"),
        Column("method", "Method"),
        Column("scoring", "Scoring"),
        Column("voting", "Voting"),
        Column("budget_samples", "N", "number", digits=0),
        Column("accuracy_percent", "Accuracy (%)", "estimate"),
        Column("problems", "Number of problems", "number", digits=0),
        Column("tokens", "Tokens a problem", "number", digits=0),
    ]
    body: list[list[Cell]] = [
        [
            row["policy_title"],
            row["prm_title"] or "none",
            row["bucket"],
            method_name(row["method"]),
            _AGGREGATIONS[row["scoring"]],
            _AGGREGATIONS[row["voting"]],
            row["budget"],
            percent_of(row),
            row["n_problems"],
            _known(row["tokens"]),
        ]
        for row in rows
    ]
    notes = [
        "Exact over all subsets of N samples of the whole pool; in "
        "brackets, intervals over problems. N: those that the pool carries. By difficulty, a pool "
        "of 16 samples and more is split: one half says how hard a problem is (at least 0.5 of "
        "its samples right: easy; at least 0.1: medium), the other is evaluated, both ways round, "
        "and the mean of both stands here. Smaller pools have too few samples to tell. Tokens "
        "were counted again from the texts where the files do not say them.",
    ]
    return Table(title, columns, body, notes)


def selection(rows: Sequence[Row], title: str) -> Table:
    """A row per policy, candidates (the pool, or searches too), way to divide the problems, N and
    rule of selection."""
    columns = [
        Column("policy", "Policy"),
        Column("candidates", "Chosen among"),
        Column("by", "Chosen for"),
        Column("budget_samples", "N", "number", digits=0),
        Column("rule", "Rule"),
        Column("accuracy_percent", "Accuracy (%)", "estimate"),
        Column("strategies", "Strategies", "number", digits=0),
        Column("problems", "Problems", "number", digits=0),
        Column("tokens", "Tokens a problem", "number", digits=0),
        Column("chosen", "Chosen on the same problems"),
    ]
    body: list[list[Cell]] = []
    for row in rows:
        head: list[Cell] = [
            row["policy_title"],
            "pool and searches" if row["problems"] == "searched" else "the pool",
            "all problems" if row["part"] == "whole" else "each difficulty",
            row["budget"],
        ]
        tail: list[Cell] = [row["n_strategies"], row["n_problems"], _known(row["tokens"])]
        if row["rule"] == "cross_fitted":
            asked = _asked_by_paper(row)
            body.append([*head, _RULES["fixed_rule"], None, *tail, asked])
        chosen = _in_words(row["chosen"]) if row["rule"] == "in_sample" else "see above"
        body.append([*head, _RULES[row["rule"]], percent_of(row), *tail, chosen])
    notes = [
        "What choosing among all strategies (majority voting; best-of-N, and a search of the same "
        "N, under each scoring and voting) is worth, four ways. For each difficulty: it is that "
        "of one half of the pool, the other half is evaluated, and the mean of both ways round "
        "stands here. The paper's fixed rule names a method for each difficulty that nobody ran "
        "with these pools: it stands as not run, with what it asks for. Tokens: unknown where a "
        "search is a candidate whose files do not say what it threw away.",
    ]
    return Table(title, columns, body, notes)


def _in_words(chosen: str) -> str:
    for key, name in (*_METHODS.items(), *_AGGREGATIONS.items()):
        if key is not None:
            chosen = re.sub(rf"\b{key}\b", name, chosen)
    return chosen


def _asked_by_paper(row: Row) -> str:
    """The methods that the paper's rule for MATH-500 takes, by difficulty, in words."""
    asked = {
        bucket: method_name(method)
        for bucket, method in methods_of_paper("MATH-500", row["n_parameters"]).items()
    }
    return "asks for " + "; ".join(f"{bucket}: {method}" for bucket, method in asked.items())


def method_name(method: str) -> str:
    """A method as people call it; one that the paper does not have keeps its own name."""
    return _METHODS.get(method, method)


def _flops(name: str, heading: str) -> Column:
    return Column(f"{name}_flops", heading, "number", digits=2, scientific=True)


def _known(value: float | None) -> Cell:
    return UNKNOWN if value is None else value
