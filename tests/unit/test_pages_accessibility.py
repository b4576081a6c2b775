"""The pages that ``make`` has made, under axe-core in headless Chromium: light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import chromium
import pytest
from default_study import ROOT

PAGES = (
    *("index.html", "report.html", "explorer.html", "browser.html", "verify.html"),
    *("tables/table_3.html", "tables/overview.html"),
    *("notebooks/01_setting.html", "notebooks/03_scaling.html"),
)


def axe() -> Path | None:
    """The file axe.min.js of whatever package brings it; None if none does."""
    for package in ("axe_playwright_python", "axe_core_python"):
        spec = find_spec(package)
        if spec is not None and spec.submodule_search_locations:
            return Path(spec.submodule_search_locations[0]) / "axe.min.js"
    return None


pytestmark = [
    pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine"),
    pytest.mark.skipif(
        axe() is None, reason="no package with axe-core: pip install axe-core-python"
    ),
]


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    with chromium.running(tmp_path_factory.mktemp("profile")) as browser:
        yield browser.tab()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_serious_fault(name: str, dark: bool, tab: chromium.Tab) -> None:
    page, source = ROOT / "results" / name, axe()
    if not page.is_file():
        pytest.skip(f"{name} has not been made: {'make verify' if 'verify' in name else 'make'}")
    assert source is not None
    tab.open(page.as_uri(), dark=dark)
    # Pages that unpack themselves and the report say when they are ready.
    tab.until(
        "!document.querySelector('.packed-script, #data:empty') || "
        "document.documentElement.dataset.ready"
    )
    tab.value(f"{source.read_text(encoding='utf-8')}; 1")
    # The report opens on the first page, which is looked at by itself.
    part = "document.querySelector('nav')" if name == "report.html" else "document"
    faults = tab.value(
        f"axe.run({part}, {{resultTypes: ['violations']}})"
        ".then(found => found.violations"
        ".filter(one => ['serious', 'critical'].includes(one.impact))"
        ".map(one => [one.id, one.nodes.length, one.nodes[0].html.slice(0, 200),"
        " one.nodes[0].failureSummary]))"
    )
    assert faults == []
