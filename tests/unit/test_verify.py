"""How shipped and recomputed tables are compared, and what the page makes of hostile text."""

from __future__ import annotations

import json
import math
from pathlib import Path

import chromium
import polars as pl
import pytest
from default_study import ROOT

from compute_optimal.errors import StudyError
from compute_optimal.ship.expected import on_disk, read_expected, read_manifest, write_expected
from compute_optimal.ship.possible_units import impossible
from compute_optimal.ship.verify import (
    Check,
    Verification,
    compare,
    engine_versions,
    shipped_files,
)
from compute_optimal.store.schemas import COUNTS_OF, SECONDS
from compute_optimal.study.cells import Grid
from compute_optimal.study.config import load_study

HEADER = (
    "task,policy,prm,method,scoring,voting,bucket,budget,n_problems,accuracy,monte_carlo_error\n"
)
MAJORITY = "t,p,,majority,,majority,all,4,50,{},\n"
VOTE = "t,p,q,best_of_n,prm_last,prm_vote,all,4,50,{},{}\n"


def curves(majority: str = "0.5", vote: str = "0.5", error: str = "0.01") -> dict[str, bytes]:
    text = HEADER + MAJORITY.format(majority) + VOTE.format(vote, error)
    return {"curves.csv": text.encode()}


def test_equal_bytes_pass() -> None:
    (check,) = compare(curves(), curves())
    assert check.passed
    assert check.remarks == ("identical, byte for byte",)


def test_only_sampled_votes_may_differ_and_only_by_their_error() -> None:
    assert compare(curves(vote="0.55"), curves())[0].passed
    assert not compare(curves(vote="0.56"), curves())[0].passed
    (check,) = compare(curves(majority="0.5001"), curves())
    assert not check.passed
    assert check.remarks == (
        "t, p, majority, majority, all, 4: accuracy is 0.5001 as shipped, 0.5 found anew",
    )


def test_an_error_that_was_raised_by_hand_excuses_nothing() -> None:
    assert not compare(curves(vote="0.9", error="0.5"), curves())[0].passed


@pytest.mark.parametrize("name", ["tables/x.csv", "claims.csv", "answers.csv"])
@pytest.mark.parametrize(
    ("shipped", "fresh", "passes"),
    [
        ("50.000001", "50.0", True),
        ("12345.6789", "12345.67891", True),
        ("-1.7e-14", "0", True),
        ("-1.7e-14", "-1.1e-14", True),
        ("50.0001", "50.0", False),
        ("0.001", "0", False),
        ("100000001", "100000000", False),
        ("-100000001", "-100000000", False),
        ("", "0.00000001", False),
        ("0.1 (0.0 to 0.2)", "0.1 (0.0 to 0.3)", False),
    ],
)
def test_last_digits_of_another_processor_pass_but_in_counts_and_words(
    name: str, shipped: str, fresh: str, passes: bool
) -> None:
    def table(value: str) -> dict[str, bytes]:
        keys = "t,p,pool,q,majority,4" if name == "answers.csv" else "a,b,c,d,e,f"
        return {name: f"task,policy,pool,prm,method,budget,x\n{keys},{value}\n".encode()}

    (check,) = compare(table(shipped), table(fresh))
    assert check.passed is passes
    assert ("1 of 1 rows differ" in check.remarks[0]) is passes


def test_last_digits_of_another_processor_pass_in_curves() -> None:
    assert compare(curves(majority="0.50000001"), curves())[0].passed


def test_a_table_edited_by_hand_is_found_also_with_its_manifest_mended(tmp_path: Path) -> None:
    fresh = {"tables/table_5.csv": b"policy,accuracy\nA,31.0\nB,42.0\n"}
    edited = {"tables/table_5.csv": b"policy,accuracy\nA,31.0\nB,43.0\n"}
    write_expected(edited, tmp_path)
    assert read_manifest(tmp_path).keys() == edited.keys()
    (check,) = compare(read_expected(tmp_path), fresh)
    assert check.remarks == ("row 2: accuracy is 43.0 as shipped, 42.0 found anew",)


def test_rows_and_files_that_only_one_side_has() -> None:
    extra = {"curves.csv": curves()["curves.csv"] + VOTE.format("0.1", "0").encode() * 2}
    (check,) = compare(extra, curves())
    assert [remark.endswith("ships, but is not found anew") for remark in check.remarks] == [
        True
    ] * 2
    assert [c.passed for c in compare({"a.csv": b""}, {"b.csv": b""})] == [False, False]


def test_bytes_that_are_no_table_fail_instead_of_crashing() -> None:
    for content in (b"\xff\xfe", b'a,b\n"open', b"", b"\x00"):
        assert not compare({"curves.csv": content}, curves())[0].passed


def test_the_page_escapes_what_the_files_say() -> None:
    evil = "</td><script>alert(1)</script>"
    verification = Verification(
        "micro", (Check(1, evil, False, (evil,)),), (("statement",), (evil,))
    )
    assert "<script" not in verification.html
    assert "1 of 1 checks failed" in verification.html


def test_on_which_side_of_0_a_verdict_is_can_be_seen() -> None:
    header = ("statement", "verdict", "measured", "measured_low", "measured_high", "unit")
    row = ("c", "not reproduced", "-0.8", "-1.6", "-0.02", "points")
    page = Verification("s", (Check(0, "a", True, ("b",)),), (header, row)).html
    assert "<td>c</td>" in page
    assert "−0.8 [−1.6, −0.02] points" in page.replace("\N{NO-BREAK SPACE}", " ")


@pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine")
def test_a_claim_has_room_beside_a_long_unit(tmp_path: Path) -> None:
    """A measure with its unit was one line, and left the claim a word or two a line."""
    header = ("statement", "scale", "verdict", "reason", "measured", "measured_low",
              "measured_high", "unit")  # fmt: skip
    row = ("The larger the policy, the smaller the gain of best-of-2 over one sample", "public",
           "not reproduced", "undecided: the interval holds the margin", "-19.6", "-27.2", "-11.8",
           "% per tenfold parameters")  # fmt: skip
    page = tmp_path / "verify.html"
    check = Check(0, "a", True, ("b",))
    page.write_text(Verification("s", (check,), (header, row)).html, encoding="utf-8")
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open(page.as_uri(), width=768)
        wide = "getBoundingClientRect().width"
        assert tab.value(f"document.querySelector('.verdicts td').{wide}") > 200
        assert tab.value(f"document.querySelector('.verdicts td.number').{wide}") < 200
        assert tab.value("document.documentElement.scrollWidth") <= 768


def test_what_a_study_does_not_have_is_not_said_to_have_been_checked(tmp_path: Path) -> None:
    """Of adopted rollouts alone there are no models and no engine; of one thing there is no "1
    cells"."""
    adopted = load_study("config/public.yaml")
    subjects = {check.subject for check in shipped_files(adopted, Path("data/expected/public"))}
    assert "shipped models: this study has none" in subjects
    engines = engine_versions(adopted)
    assert engines.subject == "engines: none made a cell of this study"
    own = load_study("config/config.yaml")
    one = own.model_copy(
        update={
            "policies": own.policies[:1],
            "prms": (),
            "tasks": own.tasks[:1],
            "methods": ("majority",),
        }
    )
    subjects = {check.subject for check in shipped_files(one, tmp_path)}
    assert "1 shipped model against config/models.lock.json" in subjects
    assert f"0 files of {tmp_path} against its manifest" in subjects


def test_a_packed_file_reads_as_it_was_written_and_damaged_ones_as_nothing(tmp_path: Path) -> None:
    (path,) = write_expected(curves(), tmp_path)
    assert path.name == "curves.csv.gz"
    assert read_expected(tmp_path) == curves()
    for damaged in (b"", path.read_bytes()[:-9], b"no gzip"):
        path.write_bytes(damaged)
        assert read_expected(tmp_path) == {"curves.csv": b""}
    write_expected({"tables/x.csv": b"a\n1\n"}, tmp_path)
    assert not path.exists()


def test_a_file_that_a_packed_one_hides_is_seen(tmp_path: Path) -> None:
    (path,) = write_expected(curves(), tmp_path)
    stray = tmp_path / "curves.csv"
    stray.write_bytes(b"a\n1\n")
    assert on_disk(tmp_path) == [stray, path]
    assert read_expected(tmp_path) == curves()


def test_trees_whose_tokens_do_not_add_up_or_whose_scores_or_costs_are_none_are_impossible() -> (
    None
):
    study = load_study(ROOT / "config/config.yaml", {})
    cell = next(cell for cell in Grid(study) if cell.method == "dvts")
    nodes = [{"margin": 1.0, "n_tokens": 3}, {"margin": None, "n_tokens": 4}]
    rows = pl.DataFrame(
        {
            "nodes": [
                nodes,
                [nodes[0], {"margin": math.nan, "n_tokens": 4}],
                [*nodes, {"margin": 0.5, "n_tokens": 0}],
                [nodes[0], {"margin": 0.5, "n_tokens": 5}],
                nodes,
                nodes,
            ],
            "subtree": range(6),
            **{count: [0] * 6 for count in COUNTS_OF["searches"]},
            "generated_tokens": [7] * 6,
            "sample_requests": [2] * 6,
            "score_requests": [0, 0, 0, 0, -1, 0],
            **{seconds: [0.5] * 5 + [math.inf] for seconds in SECONDS},
        }
    )
    wrong = impossible(cell, rows)
    assert {what: those["subtree"].to_list() for what, those in wrong.items()} == {
        "with scores that are no numbers": [1],
        "with tokens that do not add up": [2, 3],
        "with score_requests that are no cost": [4],
        **{f"with {name} that are no cost": [5] for name in SECONDS},
    }


@pytest.mark.parametrize("name", ["../../kept.csv", "/tmp/kept.csv", "tables/../../kept.csv", "x"])
def test_a_manifest_that_names_other_files_removes_none(name: str, tmp_path: Path) -> None:
    folder, kept = tmp_path / "expected/study", tmp_path / "kept.csv"
    write_expected({"rows.csv": b"a\n1\n"}, folder)
    kept.write_text("mine")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": 4, "sha256": "0" * 64}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(StudyError, match="manifest of the expected results is not readable"):
        write_expected({"rows.csv": b"a\n2\n"}, folder)
    assert kept.read_text() == "mine"
