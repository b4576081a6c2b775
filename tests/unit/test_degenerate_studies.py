"""Studies with hardly anything in them: every figure and table shows what is known, and says what
is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from synthetic_study import POLICIES, PRMS, SyntheticStudy

from compute_optimal.present.catalogue import ITEMS
from compute_optimal.present.render import draw, tabulate

TINY = (("t", "Tiny", 1),)
STUDIES = {
    "one problem": SyntheticStudy(
        tasks=TINY, policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,), published=()
    ),
    "one sample, no PRM": SyntheticStudy(
        tasks=(("t", "Tiny", 3),), policies=POLICIES[:1], prms=(), budgets=(1,)
    ),
    "all wrong": SyntheticStudy(
        tasks=(("t", "Tiny", 4),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        all_wrong=True,
    ),
    "what others ran, all wrong": SyntheticStudy(
        tasks=(("t", "Tiny", 4),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        all_wrong=True, adopted=(POLICIES[0][0],),
    ),
    "what others ran, one sample, no PRM": SyntheticStudy(
        tasks=TINY, policies=POLICIES[:2], prms=(), budgets=(1,), adopted=(POLICIES[0][0],)
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=STUDIES)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return STUDIES[request.param].write(tmp_path_factory.mktemp("tiny") / "study.duckdb")


def test_every_item_shows_or_says_something(database: Path) -> None:
    for item in ITEMS:
        if item.kind == "table":
            table = tabulate(item.name, database)
            assert table.markdown()
            fields = [field for line in table.csv().splitlines() for field in line.split(",")]
            assert "nan" not in {field.lower() for field in fields}, item.name
            assert table.latex()
            continue
        figure = draw(item.name, database).sheet
        assert figure.axes, item.name
        for axes in figure.axes:
            drawn = [*axes.get_lines(), *axes.patches, *axes.collections]
            said = [text.get_text() for text in axes.texts]
            assert drawn or said, f"{item.name}: {axes.get_label()} is blank"
