"""The report that ``make`` has made, in headless Chromium: every result is opened and seen."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from default_study import ROOT

from compute_optimal.errors import StudyError
from compute_optimal.present.pages.report import finish_report

REPORT = ROOT / "results" / "report.html"

pytestmark = [
    pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(not REPORT.is_file(), reason="make has made no report yet"),
]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    with chromium.running(tmp_path_factory.mktemp("profile")) as browser:
        tab = browser.tab()
        tab.open(REPORT.as_uri())
        tab.until("document.documentElement.dataset.finished && app && true")
        yield tab


def test_every_result_is_seen(tab: chromium.Tab) -> None:
    shown = tab.value(
        "Object.entries(results).map(([path, of]) => [path, of.mime_type])"
        ".filter(([, type]) => /svg|html/.test(type))"
    )
    assert len(shown) > 40
    for path, kind in shown:
        name = json.dumps(path)
        tab.value(f"new ButtonViewManager(app).handleSelectedResult({name}).props.onClick(), 1")
        if kind == "text/html":
            assert seen_in_frame(tab) > MUCH, path
        else:
            picture = f"[...document.images].find(image => image.src === results[{name}].data_uri)"
            width = tab.until(f"(({picture}) || {{}}).naturalWidth")
            assert width > 300, path
    assert not tab.problems


MUCH = 200
"""Characters: more than what a page shows while it unpacks its data."""


def seen_in_frame(tab: chromium.Tab, seconds: float = 30) -> int:
    """Characters of the text that the frame shows, once it shows much, or all that it ever does."""
    end, length = time.monotonic() + seconds, 0
    ready = (
        "document.readyState === 'complete' && document.body ? document.body.innerText.length : 0"
    )
    while time.monotonic() < end:
        length = tab.frame_value(ready) or 0
        if length > MUCH:
            break
        time.sleep(0.05)
    return int(length)


@pytest.mark.parametrize(
    ("term", "first"), [("Table 5", "tables/table_5"), ("figure 1", "figures/figure_1.svg")]
)
def test_what_is_searched_for_is_found(term: str, first: str, tab: chromium.Tab) -> None:
    search = f"new SearchResults({{searchTerm: {json.dumps(term)}, app}}).getResults()"
    results = tab.value(f"{search}.map(([path]) => path)")
    assert first in results[0]


def test_words_of_captions_are_found_and_lists_are_in_natural_order(tab: chromium.Tab) -> None:
    search = "new SearchResults({searchTerm: 'beam search', app}).getResults().length"
    assert tab.value(search) > 3
    order = tab.value("['figure_10', 'figure_2', 'figure_1'].sort((a, b) => a.localeCompare(b))")
    assert order == ["figure_1", "figure_2", "figure_10"]


@pytest.mark.parametrize("width", [390, 768, 1440])
def test_the_page_fits_its_window(width: int, tmp_path: Path) -> None:
    """The first page's own style is for a page without a menu, and once moved the whole report."""
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open(REPORT.as_uri(), width=width)
        tab.until("document.documentElement.dataset.finished && !!document.querySelector('.prose')")
        overflowing = (
            "[document.documentElement, document.querySelector('.grow.h-screen')]"
            ".filter(part => part.scrollWidth > part.clientWidth).length"
        )
        assert tab.value(overflowing) == 0
        left = "document.querySelector('#app').getBoundingClientRect().left"
        assert tab.value(left) == 0


def test_a_page_that_is_no_report_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text("nothing")
    with pytest.raises(StudyError, match="no report"):
        finish_report(page)
    assert page.read_text() == "nothing"
