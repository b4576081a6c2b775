"""Identity: canonical text, digests, seeds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute_optimal.study.spec import canonical, digest, seed_for


def test_order_of_keys_does_not_matter_but_types_and_values_do() -> None:
    assert canonical({"a": 1, "b": {"x": 1, "y": 2}}) == canonical({"b": {"y": 2, "x": 1}, "a": 1})
    assert digest({"a": 2}) != digest({"a": 2.0})
    assert digest({"low": 1, "high": 2}) != digest({"low": 2, "high": 1})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


def test_digest_is_stable_over_versions() -> None:
    # A changed digest orphans every stored result: this one may never change.
    assert digest({"kind": "samples", "seed": 0, "temperature": 0.7}) == "7bd2f8b220d9"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": value})


def test_seeds_are_stable_and_in_range() -> None:
    assert seed_for("spec", "problem", 0) == seed_for("spec", "problem", 0)
    assert seed_for("a", "b") != seed_for("ab")
    assert seed_for("a", 1) != seed_for("a", "1")


@given(st.lists(st.text() | st.integers(), max_size=4))
def test_any_key_has_a_seed_that_engines_take(parts: list[str | int]) -> None:
    assert 0 <= seed_for(*parts) < 2**31


def test_neighbouring_samples_have_unrelated_seeds() -> None:
    seeds = [seed_for("spec", "problem", index) for index in range(10_000)]
    assert len(set(seeds)) == len(seeds)
    assert not {seed + 1 for seed in seeds} & set(seeds)
