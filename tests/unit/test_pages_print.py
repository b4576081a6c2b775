"""The pages that ``make`` has made, on paper: nothing is cut, nothing is dark."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from default_study import ROOT

from compute_optimal.present.tables import Column, Table

PAGES = (
    *("index.html", "report.html", "explorer.html", "browser.html", "verify.html"),
    *("tables/table_3.html", "tables/provenance.html", "notebooks/03_scaling.html"),
)

pytestmark = pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine")

READY = (
    "!document.querySelector('.packed-script, #data:empty') || "
    "document.documentElement.dataset.ready"
)

# What scrolls on a screen cannot on paper, and what is wider than twice a page is cut.
CUT = """
[...document.querySelectorAll('*')].filter(one => {
  const look = getComputedStyle(one);
  const clips = ['auto', 'scroll', 'hidden', 'clip'];
  const across = clips.includes(look.overflowX) && one.scrollWidth > one.clientWidth + 2;
  const down = clips.includes(look.overflowY) && one.scrollHeight > one.clientHeight + 2;
  const seen = one.clientWidth > 2 && one.clientHeight > 2 && look.visibility !== 'hidden';
  return seen && (across || down);
}).map(one => one.outerHTML.slice(0, 150))
"""

DARK = """
[document.documentElement, document.body, ...document.querySelectorAll('main, article, .scale, td')]
.map(one => getComputedStyle(one).backgroundColor)
.filter(colour => colour !== 'rgba(0, 0, 0, 0)')
.filter(colour => Math.min(...colour.match(/[0-9]+/g).slice(0, 3).map(Number)) < 200)
"""


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    with chromium.running(tmp_path_factory.mktemp("profile")) as browser:
        yield browser.tab()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_or_dark_on_paper(name: str, dark: bool, tab: chromium.Tab) -> None:
    page = ROOT / "results" / name
    if not page.is_file():
        pytest.skip(f"{name} has not been made: {'make verify' if 'verify' in name else 'make'}")
    tab.open(page.as_uri(), dark=dark)
    tab.until(READY)
    for number in range(tab.value("document.querySelectorAll('main details').length")):
        tab.value(f"document.querySelectorAll('main details')[{number}].open = true, 1")
    tab.printed(dark=dark)
    assert tab.value(CUT) == []
    assert tab.value(DARK) == []


def test_a_table_of_many_columns_is_whole(tab: chromium.Tab, tmp_path: Path) -> None:
    page = tmp_path / "table.html"
    columns = [Column(f"c{i}", f"Heading {i}", "number") for i in range(20)]
    rows = [[1234.5 + i + j for i in range(20)] for j in range(60)]
    page.write_text(Table("Title", columns, rows, []).html(), encoding="utf-8")
    tab.open(page.as_uri())
    tab.until("document.querySelector('[role=status]')")
    tab.printed()
    assert tab.value(CUT) == []
    assert tab.value("getComputedStyle(document.querySelector('tr')).breakInside") == "avoid"
    assert not tab.value("document.querySelector('.tools').offsetParent")
    # A page is made as small as its widest part asks for, down to half its size.
    assert tab.value("document.documentElement.scrollWidth") <= 2 * 718
    # Headings stand on every page: a button would be painted on the first alone.
    look = "getComputedStyle(document.querySelector('{}')).{}"
    assert tab.value(look.format("thead", "display")) == "table-header-group"
    assert tab.value(look.format("th button", "display")) == "contents"
