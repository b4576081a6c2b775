"""The explorer and the pages of tables: their data against the database, and seen in Chromium."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import duckdb
import pytest
from searched_study import data_of, unpacked
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy

from compute_optimal.present.pages.explorer import _SHOWN, _short, explorer_page
from compute_optimal.present.query import run_query
from compute_optimal.present.style import fixed, parameters_text, scientific, significant
from compute_optimal.present.tables import Column, Compared, Estimate, Printed, Table


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = SyntheticStudy(
        tasks=(("t", "</script><b>T", 6),),
        policies=POLICIES[:2],
        prms=PRMS[:2],
        budgets=(4, 16),
        rollouts=ROLLOUTS[:1],
    )
    path = study.write(tmp_path_factory.mktemp("study") / "study.duckdb")
    with duckdb.connect(str(path)) as connection:
        # Others ran a method that the study does not have.
        connection.execute(
            "UPDATE curve_points SET method = 'mcts (OpenR)'"
            " WHERE method = 'beam_search' AND policy = ?",
            [ROLLOUTS[0].policy],
        )
    return path


@pytest.fixture(scope="module")
def page(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "explorer.html"
    path.write_text(explorer_page(database), encoding="utf-8")
    return path


def test_the_page_holds_every_point_and_runs_nothing_else(database: Path, page: Path) -> None:
    text = page.read_text()
    columns = data_of(text)["columns"]
    rows = run_query("explorer", database)
    assert len(rows) == len(columns["budget"]) > 50
    assert columns["accuracy"] == [pytest.approx(row["accuracy"], 1e-4) for row in rows]
    scales = columns["scale"]
    assert [scales["texts"][i] for i in scales["index"]] == [row["scale"] for row in rows]
    assert {"study", "public"} <= {*scales["texts"]}
    assert "</script><b>" not in text
    (policy,) = re.findall(r'Security-Policy" content="([^"]*)"', text)
    assert "unsafe" not in policy
    blocks = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    blocks += map(unpacked, re.findall(r'class="packed-script">([^<]*)', text))
    assert len(blocks) == 7
    for content in blocks:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_no_sample_says_both_how_hard_a_problem_is_and_how_well_it_is_solved(
    tmp_path: Path,
) -> None:
    study = SyntheticStudy(
        tasks=(("t", "T", 6),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        rollouts=ROLLOUTS[:2],
    )  # fmt: skip
    database = study.write(tmp_path / "study.duckdb")
    whole = ROLLOUTS[1].policy
    with duckdb.connect(str(database)) as connection:
        connection.execute(
            "INSERT INTO curve_points SELECT * REPLACE ('hard' AS bucket) FROM curve_points"
            " WHERE bucket = 'all' AND policy = ?",
            [whole],
        )
        (title,) = connection.execute(
            "SELECT title FROM policies WHERE policy = ?", [whole]
        ).fetchone() or ("",)
    buckets: dict[str, set[str]] = {}
    for row in run_query("explorer", database):
        buckets.setdefault(row["policy"], set()).add(row["bucket"])
    assert buckets.pop(title) == {"all"}
    assert all({"all", "easy"} <= of_policy for of_policy in buckets.values())


def test_a_table_is_a_page_whose_cells_are_text() -> None:
    columns = [Column("a", "A"), Column("b_percent", "B (%)", "estimate")]
    rows = [["<img src=x>", Estimate(62.14, 58.0, 66.3)], ["none", None]]
    text = Table("Title (of a task)", columns, rows, ["A note."]).html()
    assert "<img src" not in text
    assert 'data-value="62.14">62.1 [58.0, 66.3]<' in text
    assert "not run" in text
    assert "<title>Title</title>" in text


@pytest.fixture(scope="module")
def tab(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Tab]:
    if chromium.found() is None:
        pytest.skip("no Chromium on this machine")
    with chromium.running(tmp_path_factory.mktemp("profile")) as browser:
        tab = browser.tab()
        tab.open(page.as_uri())
        tab.until("document.documentElement.dataset.drawn")
        yield tab


def test_every_accuracy_is_shown_as_tables_show_it(database: Path, tab: chromium.Tab) -> None:
    rows = run_query("explorer", database)
    names = "accuracy", "low", "high"
    expected = [[None if row[name] is None else fixed(row[name]) for name in names] for row in rows]
    written = tab.value(
        "rows.map(row => [row.accuracy, row.low, row.high]"
        ".map(number => number === null ? null : fixed(number, 1)))"
    )
    assert written == expected


def test_pages_and_tables_round_by_one_rule(tab: chromium.Tab) -> None:
    """Halves are what means of tied answers are."""
    numbers = [k / 8 for k in range(-900, 900)] + [k / 400 * 100 for k in range(401)]
    numbers += [number + noise for number in numbers for noise in (-1e-12, 1e-12)]
    numbers += [0.05, -0.05, -0.04, 1234567.85, 2.675, 1e-10]
    for digits in (0, 1, 2, 3):
        written = tab.value(f"{numbers}.map(number => fixed(number, {digits}))")
        assert written == [fixed(number, digits) for number in numbers]


def test_the_choice_is_drawn_kept_in_the_address_and_never_mixes_scales(tab: chromium.Tab) -> None:
    assert tab.value("document.querySelectorAll('#chart svg').length") == 1
    assert tab.value("new Set(drawn.map(row => row.scale)).size") == 1
    assert "scale=study" in tab.value("location.hash")
    before = tab.value("drawn.length")
    tab.value("document.querySelector('select[name=x]').value = 'tokens', 1")
    tab.value("document.querySelector('select[name=x]').dispatchEvent(new Event('change')), 1")
    tab.until("location.hash.includes('x=tokens')")
    assert 0 < tab.value("drawn.length") <= before
    tab.value("location.hash = 'scale=public', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'public')")
    assert not tab.problems


def test_a_method_that_the_study_does_not_have_keeps_its_name(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=public', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'public')")
    assert tab.value("document.querySelector('#choices [value=\"mcts (OpenR)\"]').checked")
    assert "mcts (OpenR)" in tab.value("document.querySelector('#board').textContent")
    assert not tab.problems


def test_a_front_is_of_points_of_the_same_problems_and_no_panel_of_a_prm_that_did_not_run(
    tab: chromium.Tab,
) -> None:
    made = tab.value(
        """(() => {
          Object.assign(choice, { prms: ["q", "r"], x: "budget", layout: "panels" });
          const point = (method, prm, budget, n, accuracy) => ({
            policy: "p", method, prm, budget, n, accuracy, low: null, high: null, tokens: 1, flops: 1, seconds: 1 });
          return points([
            point("best_of_n", "q", 1, 500, 40), point("best_of_n", "q", 2, 100, 90),
            point("best_of_n", "q", 4, 499, 50), point("majority", "", 4, 500, 45), point("majority", "", 8, 500, 60),
          ]).map((row) => [row.panel, row.budget, row.method, row.front === true]);
        })()"""  # noqa: E501
    )
    assert {panel for panel, *_ in made} == {"p\nq"}
    assert [budget for _, budget, _, front in made if front] == [1, 4, 8]
    alone = tab.value(
        """(() => {
          const one = { policy: "o", method: "majority", prm: "", budget: 2, n: 5, accuracy: 1, low: null, high: null };
          return points([one]).map((row) => row.panel);
        })()"""  # noqa: E501
    )
    assert alone == ["o"]


def test_what_has_most_points_is_shown_first(tab: chromium.Tab) -> None:
    found = tab.value(
        'best([["a", 9], ["b", 3], ["b", 4], ["c", 5], ["c", 2], ["", 99]]'
        '.map(([policy, accuracy]) => ({ policy, accuracy })), "policy")'
    )
    assert found == ["c", "b", "a"]


def test_what_cannot_be_drawn_is_said_and_cannot_be_saved(tab: chromium.Tab) -> None:
    disabled = "['csv', 'svg'].map(id => document.getElementById(id).disabled)"
    tab.value("location.hash = 'scale=public&x=seconds', 1")
    tab.until("document.querySelector('#chart').textContent.startsWith('Nothing to draw')")
    assert tab.value(disabled) == [True, True]
    n_lost = tab.value("rows.filter(row => row.scale === 'public' && isChosen(row)).length")
    assert n_lost > 1
    tab.value("location.hash = 'scale=public&x=budget', 1")
    tab.until("document.querySelectorAll('#chart svg').length")
    assert tab.value(disabled) == [False, False]
    assert "left out" not in tab.value("document.getElementById('said').textContent")
    assert tab.value("[counted(1, 'point'), counted(2, 'point')]") == ["1 point", "2 points"]
    assert not tab.problems


def test_the_focus_stays_where_the_choice_was_made(tab: chromium.Tab) -> None:
    """A menu may have the value of a box: majority is a method and a vote."""
    tab.value("location.hash = 'scale=study&voting=majority', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'study')")
    for field in ("input[value=majority]", "select[name=voting]"):
        tab.value(
            f"(field => {{ field.focus(); field.dispatchEvent(new Event('change')); }})"
            f"(document.querySelector('#choices {field}')), 1"
        )
        assert tab.value(f"document.activeElement.matches('#choices {field}')"), field


def test_a_panel_is_called_by_policy_and_prm_on_lines_of_their_own(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=study&layout=panels', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'study')")
    seen = "[...document.querySelectorAll('#chart svg tspan')].map(line => line.textContent)"
    tab.until(f"{seen}.includes({json.dumps(PRMS[0][1])})")
    assert POLICIES[0][1] in tab.value(seen)


def test_long_names_widen_no_page(tmp_path: Path) -> None:
    if chromium.found() is None:
        pytest.skip("no Chromium on this machine")
    policy = ("long", "name" * 40, *POLICIES[0][2:])
    study = SyntheticStudy(tasks=(("t", "T", 4),), policies=(policy,), prms=PRMS[:1], budgets=(4,))
    path = tmp_path / "explorer.html"
    path.write_text(explorer_page(study.write(tmp_path / "study.duckdb")), encoding="utf-8")
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open(path.as_uri(), width=390)
        tab.until("document.documentElement.dataset.drawn")
        assert tab.value("document.documentElement.scrollWidth") <= 390


def test_the_leaderboard_sorts_and_filters(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=study', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'study')")
    rows = "[...document.querySelectorAll('#board tbody tr')].filter(row => !row.hidden)"
    accuracies = f"{rows}.map(row => Number(row.cells[4].dataset.value))"
    assert tab.value(accuracies) == sorted(tab.value(accuracies), reverse=True)
    tab.value("document.querySelectorAll('#board th button')[4].click(), 1")
    assert tab.value(accuracies) == sorted(tab.value(accuracies))
    everything = tab.value(f"{rows}.length")
    word = json.dumps(POLICIES[0][1])
    tab.value(f"document.querySelector('.board-tools input').value = {word}, 1")
    tab.value("document.querySelector('.board-tools input').dispatchEvent(new Event('input')), 1")
    assert 0 < tab.value(f"{rows}.length") < everything


def test_every_control_is_reached_by_keys_and_seen(tab: chromium.Tab) -> None:
    """Tab goes through all that can be changed or read, in the order of the page."""
    tab.value("location.hash = 'scale=study', 1")
    tab.until("drawn.length && drawn.every(row => row.scale === 'study')")
    tab.value("document.querySelector('details').open = true")
    tab.value(
        "window.all = [...document.querySelectorAll('select, input, button, summary, [tabindex]')]"
        ".filter(one => (one.offsetParent || one.ownerSVGElement) && !one.disabled"
        " && one.tabIndex >= 0), all[0].focus(), 1"
    )
    expected, reached = tab.value("all.length"), [0]
    while len(reached) < expected:
        tab.press("Tab")
        where, outline = tab.value(
            "(one => [all.indexOf(one), getComputedStyle(one).outlineStyle])"
            "(document.activeElement)"
        )
        reached.append(where)
        assert outline != "none", tab.value("document.activeElement.outerHTML.slice(0, 200)")
    assert reached == [*range(expected)]


def test_a_choice_is_made_by_keys_and_the_focus_stays(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=study&x=budget', 1")
    tab.until("drawn.length && location.hash.includes('x=budget')")
    tab.value("document.querySelector('select[name=x]').focus()")
    tab.press("ArrowDown")
    tab.until("location.hash.includes('x=tokens')")
    assert tab.value("document.activeElement.name") == "x"
    box = "document.querySelector('#choices input[value=majority]')"
    tab.value(f"{box}.focus()")
    before = tab.value(f"{box}.checked")
    tab.press(" ")
    tab.until(f"{box}.checked !== {json.dumps(before)}")
    assert tab.value(f"document.activeElement === {box}")
    assert "points" in tab.value("document.getElementById('said').textContent")
    assert tab.value("document.getElementById('said').getAttribute('role')") == "status"


def test_what_marks_say_is_read_without_a_mouse_and_goes_by_a_key(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=study&x=budget', 1")
    tab.until("drawn.length && location.hash.includes('x=budget')")
    cells = "[...document.querySelectorAll('#points tbody tr')].map(row => row.innerText)"
    tab.value("document.querySelector('details').open = true")
    rows = tab.value(cells)
    points = tab.value(
        "[...new Map(drawn.map(row => [row.series + row.budget, row])).values()]"
        ".map(row => ({...row, said: [row.accuracy, row.low, row.high]"
        ".map(number => fixed(number, 1)).join('\\t')}))"
    )
    assert len(rows) == len(points) > 3
    for row, point in zip(rows, points, strict=True):
        assert point["policy"] in row
        assert point["said"] in row
    told = "(box => box.hidden ? null : box.innerText)(document.getElementById('told'))"
    mark = "document.querySelector('#chart .mark-symbol.role-mark path')"
    tab.value(f"{mark}.scrollIntoView({{block: 'center'}})")
    place = tab.value(
        f"(box => [box.x + box.width / 2, box.y + box.height / 2])({mark}.getBoundingClientRect())"
    )
    assert tab.value(told) is None
    tab.send("Input.dispatchMouseEvent", type="mouseMoved", x=place[0], y=place[1])
    tab.until(f"{told} !== null")
    # Beside the mark: it stood below the page, where the page's policy had left it.
    beside = tab.value(
        "(box => [box.left, box.top, box.right <= innerWidth, box.bottom <= innerHeight])"
        "(document.getElementById('told').getBoundingClientRect())"
    )
    assert beside == [*(pytest.approx(at + 12, abs=1) for at in place), True, True]
    assert not tab.problems
    tab.press("Escape")
    assert tab.value(told) is None


def test_arrow_keys_go_from_point_to_point_and_say_what_a_mouse_is_told(tab: chromium.Tab) -> None:
    tab.value("location.hash = 'scale=study&x=budget&layout=panels', 1")
    tab.until("drawn.length && location.hash.includes('layout=panels')")
    tab.until("document.querySelectorAll('#chart [tabindex=\"0\"] ').length === 1")
    datum = "(({panel, series, budget, accuracy}) => [panel, series, budget, accuracy])"
    at = f"{datum}(datumOf(document.activeElement))"
    told = "document.getElementById('told').innerText"
    tab.value("document.getElementById('chart').focus()")
    tab.press("Tab")
    panel, series, *_ = tab.value(at)
    # Along a curve, to its end and no further.
    of_panel = f"drawn.filter(row => row.panel === {json.dumps(panel)})"
    curve = tab.value(
        f"{of_panel}.filter(row => row.series === {json.dumps(series)}).map(row => row.budget)"
        ".sort((a, b) => a - b)"
    )
    tab.press("Home")
    walked = [tab.value(at)[2]]
    for _ in curve:
        tab.press("ArrowRight")
        walked.append(tab.value(at)[2])
        assert tab.value(at)[:2] == [panel, series]
    assert walked == [*curve, curve[-1]]
    accuracy = tab.value(at)[3]
    assert f"{accuracy:.1f}" in tab.value(told)
    words = ("policy", "PRM", "method", "N", "accuracy (%)", "95% interval", "problems")
    said = tab.value("document.activeElement.getAttribute('aria-label')")
    for word in (*words, "tokens", "FLOPs", "seconds"):
        assert word in tab.value(told)
        assert f"{word}: " in said
    tab.press("ArrowLeft")
    assert tab.value(at)[2] == curve[-2]
    # Up and down reach every curve of the panel, Page Down every panel.
    for _ in range(9):
        tab.press("ArrowUp")
    seen = [tab.value(at)[1]]
    for _ in range(9):
        tab.press("ArrowDown")
        seen.append(tab.value(at)[1])
        assert tab.value(at)[0] == panel
    n_curves = tab.value(f"new Set({of_panel}.map(row => row.series)).size")
    assert len({*seen}) == n_curves > 2
    panels = [panel]
    for _ in range(9):
        tab.press("PageDown")
        panels.append(tab.value(at)[0])
    assert list(dict.fromkeys(panels)) == tab.value("distinct(drawn, 'panel')")
    tab.press("PageUp")
    assert tab.value(at)[0] == list(dict.fromkeys(panels))[-2]
    # The numbers stay beside their point where the page has been scrolled to it.
    tab.value("window.scrollBy(0, 40), new Promise(done => setTimeout(() => done(1), 100))")
    gap = tab.value(
        "(mark => (told => Math.min(Math.abs(told.top - mark.bottom),"
        " Math.abs(mark.bottom - told.bottom)))"
        "(document.getElementById('told').getBoundingClientRect()))"
        "(document.activeElement.getBoundingClientRect())"
    )
    assert gap == pytest.approx(12, abs=1)
    # The focus is not held: one point is reached by Tab, and the next control by the next.
    assert tab.value("document.querySelectorAll('#chart path[tabindex=\"0\"]').length") == 1
    tab.press("Escape")
    assert tab.value("document.getElementById('told').hidden")
    assert tab.value("Boolean(datumOf(document.activeElement))")
    tab.press("Tab")
    assert tab.value("document.activeElement.id") == "csv"
    tab.press("Tab", shift=True)
    assert tab.value(at)[0] == list(dict.fromkeys(panels))[-2]
    assert not tab.problems


def test_a_lone_point_has_its_interval_too(tab: chromium.Tab) -> None:
    """A band needs two points: greedy answers and searches of one budget had none."""
    tab.value("location.hash = 'scale=study&x=budget&layout=panels', 1")
    tab.until("drawn.length && location.hash.includes('x=budget')")
    n_alone = tab.value("drawn.filter(row => row.alone && row.low !== null).length")
    n_bars = tab.value("document.querySelectorAll('#chart svg .mark-rule.role-mark line').length")
    assert n_bars == n_alone > 0


def test_a_narrow_page_is_not_cut(tab: chromium.Tab, page: Path) -> None:
    for width in (390, 768):
        tab.open(page.as_uri() + f"#w{width}", width=width)
        tab.until("document.documentElement.dataset.drawn")
        assert tab.value("document.documentElement.scrollWidth") <= width


def test_rows_of_a_table_are_found_by_words_and_by_either_of_two(
    tab: chromium.Tab, tmp_path: Path
) -> None:
    page = tmp_path / "table.html"
    rows = [["one", "r"], ["two", "r"], ["two", "s"], ["three", "r"]]
    columns = [Column("policy", "Policy"), Column("prm", "PRM")]
    page.write_text(Table("Title", columns, rows, []).html(), encoding="utf-8")
    shown = "[...document.querySelectorAll('tbody tr')].filter(row => !row.hidden).length"
    for words, n_rows in (("", 4), ("two", 2), ("two+r", 1), ("one%7Ctwo", 3), ("one%7Ctwo+r", 2)):
        tab.open(f"{page.as_uri()}?{n_rows}#rows={words}")
        tab.until("document.querySelector('[role=status]')")
        assert tab.value(shown) == n_rows, words


def test_room_of_a_table_goes_to_names_and_not_to_headings_of_numbers(
    tab: chromium.Tab, tmp_path: Path
) -> None:
    """Names stood on three lines each beside headings that nothing broke."""
    page = tmp_path / "table.html"
    columns = [Column("policy", "Policy"), Column("title", "Title")]
    columns += [Column(f"n{i}", "Judged differently here", "number") for i in range(7)]
    long = "a name that is longer than what stands on one line of a column of names"
    rows = [["micro-llama-instruct-0.1M", long, *range(7)]] * 3
    page.write_text(Table("Title", columns, rows, []).html(), encoding="utf-8")
    lines = (
        "(cell => (range => {range.selectNodeContents(cell);"
        " return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size})"
        "(document.createRange()))(document.querySelector('{}'))"
    )
    for width in (390, 1000):
        tab.open(page.as_uri() + f"?{width}", width=width)
        tab.until("document.querySelector('[role=status]')")
        assert tab.value(lines.replace("{}", "tbody td")) == 1
        assert tab.value(lines.replace("{}", "thead th.number")) > 1
        # What is longer wraps, in a column that is no narrower than a name.
        cell = "document.querySelectorAll('tbody td')[1].getBoundingClientRect().width"
        assert 140 < tab.value(cell) < 600
        assert tab.value("document.documentElement.scrollWidth") <= width


def test_a_study_without_prms_says_that_there_are_none(tmp_path: Path) -> None:
    """A menu and a box stood empty."""
    if chromium.found() is None:
        pytest.skip("no Chromium on this machine")
    study = SyntheticStudy(tasks=(("t", "T", 3),), policies=POLICIES[:1], prms=(), budgets=(1,))
    path = tmp_path / "explorer.html"
    path.write_text(explorer_page(study.write(tmp_path / "study.duckdb")), encoding="utf-8")
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open(path.as_uri())
        tab.until("document.documentElement.dataset.drawn")
        said = "[...document.querySelectorAll('#choices select, #choices fieldset')].map(one =>"
        said += " (one.selectedOptions?.[0] ?? one).textContent.replace(/^.* of \\d+\\)/, ''))"
        assert all(tab.value(said))
        assert "none" in tab.value("document.querySelector('select[name=scoring]').innerText")
        assert tab.problems == []


@pytest.mark.parametrize("is_miniature", [True, False])
def test_real_models_come_first_unless_the_study_runs_some(
    is_miniature: bool, database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(name: str, *arguments: Path) -> object:
        rows = run_query(name, *arguments)
        return [{**rows[0], "is_miniature": is_miniature}] if name == "settings" else rows

    monkeypatch.setattr("compute_optimal.present.pages.explorer.run_query", told)
    settings = data_of(explorer_page(database))["settings"]
    assert settings["opens_on"] == ("public" if is_miniature else "study")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("accuracy", 84.74996),
        ("low", 84.75),
        ("high", 83.25 - 1e-13),
        ("accuracy", 84.7468),
        ("tokens", 123456.7),
        ("tokens", 1234.4996),
        ("flops", 1.2499996e12),
        ("seconds", 0.01249996),
    ],
)
def test_a_number_that_the_page_shortens_is_shown_as_it_is(column: str, value: float) -> None:
    """Rounded to two decimals and again to one, 84.7468 was 84.7 here and there, and 84.746 was
    84.8 here alone."""
    shown = _SHOWN[column]
    assert shown(_short(value, shown)) == shown(value)


def saved(tab: chromium.Tab, button: str) -> str:
    """What a button of the page hands over as a file."""
    return str(
        tab.value(
            "(async () => { const own = URL.createObjectURL; let file;"
            " URL.createObjectURL = blob => { file = blob; return own.call(URL, blob); };"
            f" document.querySelector({json.dumps(button)}).click();"
            " while (!file) await new Promise(go => setTimeout(go, 20));"
            " URL.createObjectURL = own; return file.text(); })()"
        )
    )


def test_what_a_table_saves_are_the_shown_rows_of_its_own_csv_file(
    tab: chromium.Tab, tmp_path: Path
) -> None:
    """Of people's text it saved "−3.1 [−5.0, 1,234.5]", which no program reads as numbers."""
    columns = [
        Column("policy", 'Policy, "named"'),
        Column("gain_points", "Gain (points)", "estimate"),
        Column("tokens", "Tokens", "number", digits=0),
        Column("accuracy_percent", "Accuracy (%)", "compared"),
    ]
    rows: list[list[Any]] = [
        ['a, "b"', Estimate(-3.14159, -5.0, 1234.5), 1234567, Compared(Estimate(62.25), None)],
        ["c", "unknown", None, Compared(Estimate(50.0, 40.0, 60.0), Printed(48.0))],
        ["=d", Estimate(0.0), 12, None],
    ]
    table = Table("Title", columns, rows, [])
    path = tmp_path / "table.html"
    path.write_text(table.html(), encoding="utf-8")
    tab.open(path.as_uri())
    tab.until("document.querySelector('[role=status]')")
    header, *lines = table.csv().splitlines()
    assert saved(tab, ".tools button") == table.csv()
    tab.value("document.querySelectorAll('th button')[2].click(), 1")
    assert saved(tab, ".tools button").splitlines() == [header, lines[2], lines[0], lines[1]]
    tab.value("document.querySelector('.tools input').value = '-3.1', 1")
    tab.value("document.querySelector('.tools input').dispatchEvent(new Event('input')), 1")
    assert saved(tab, ".tools button").splitlines() == [header, lines[0]]
    assert tab.value("document.querySelector('[role=status]').textContent") == "1 of 3 rows"
    assert not tab.problems


def test_what_is_no_number_stands_below_whichever_way_a_column_is_sorted(
    tab: chromium.Tab, tmp_path: Path
) -> None:
    """Falling, what was not run stood above the best; infinity was no number."""
    columns = [Column("n", "N", "number"), Column("gain", "Gain", "estimate", bounds=True)]
    values = [None, -2.0, "unknown", 1000.0, math.inf, 30.5]
    rows: list[list[Any]] = [
        [x, Estimate(x, relation=">")] if isinstance(x, float) else [x, x] for x in values
    ]
    path = tmp_path / "table.html"
    path.write_text(Table("Title", columns, rows, []).html(), encoding="utf-8")
    for column in (0, 1):
        tab.open(f"{path.as_uri()}?sorted{column}")
        tab.until("document.querySelector('[role=status]')")
        seen = "[...document.querySelectorAll('tbody tr')].map(row => row.cells[0].textContent)"
        numbers = ["−2.0", "30.5", "1,000.0", "∞"]
        for shown in (numbers, numbers[::-1]):
            tab.value(f"document.querySelectorAll('th button')[{column}].click(), 1")
            assert tab.value(seen)[:4] == shown
            assert sorted(tab.value(seen)[4:]) == ["not run", "unknown"]


def test_the_explorer_saves_the_same_of_a_point_by_every_button(
    tab: chromium.Tab, page: Path, database: Path
) -> None:
    """Its columns had no units, and those of the leaderboard were text for people."""
    tab.open(page.as_uri() + "?saved#scale=study&layout=panels&x=tokens")
    tab.until("document.documentElement.dataset.drawn")
    tab.until("drawn.length && drawn.every(row => row.scale === 'study')")
    of_chart = saved(tab, "#csv")
    assert saved(tab, ".points-tools button") == of_chart
    points = list(csv.DictReader(io.StringIO(of_chart)))
    assert len(points) == tab.value("pointsOnce().length") > 0
    board = list(csv.DictReader(io.StringIO(saved(tab, ".board-tools button"))))
    assert len(board) == tab.value("document.querySelectorAll('#board tbody tr').length")
    assert all(row in points for row in board if row["policy"] in {x["policy"] for x in points}
               and row["prm"] in {x["prm"] for x in points})  # fmt: skip
    key = "scale", "task", "policy", "prm", "method", "scoring", "voting", "bucket", "budget"
    stored = {tuple(str(row[name]) for name in key): row for row in run_query("explorer", database)}
    numbers = {
        "accuracy_percent": "accuracy", "accuracy_percent_low": "low", "problems": "n",
        "accuracy_percent_high": "high", "tokens_per_problem": "tokens",
        "flops_per_problem": "flops", "seconds_per_problem": "seconds",
    }  # fmt: skip
    written = [{"bucket": "difficulty", "budget": "budget_samples"}.get(name, name) for name in key]
    for row in points + board:
        of = stored[tuple(row[name] for name in written)]
        for name, column in numbers.items():
            value = of[column]
            assert (
                row[name] == ""
                if value is None
                else float(row[name]) == pytest.approx(value, rel=1e-4)
            )
    assert not tab.problems


def test_leading_digits_are_of_one_rule_and_no_power_of_ten_stands_in_words(
    tab: chromium.Tab, page: Path
) -> None:
    """105 seconds were "1e+02" here and "1.1e+2" there; 1.25e13 was 1.2e13 or 1.3e13."""
    tab.open(page.as_uri() + "?digits")
    tab.until("document.documentElement.dataset.drawn")
    numbers = [k / 8 * 10**power for k in range(0, 200, 3) for power in range(-4, 15)]
    numbers += [105.0, 99.96, 999.5, 12345.6, 1.25e13, 6154294272.0, 2.675, 9.995e17]
    for digits in (1, 2, 3):
        written = tab.value(f"{numbers}.map(number => scientific(number, {digits}))")
        assert written == [scientific(number, digits) for number in numbers]
        written = tab.value(f"{numbers}.map(number => significant(number, {digits + 1}))")
        assert written == [significant(number, digits + 1) for number in numbers]
        assert not any("e" in text for text in written)
    assert [significant(105.0, 2), significant(12345.6, 4), significant(0.5, 2)] == [
        "110", "12,350", "0.5",
    ]  # fmt: skip
    assert [scientific(1.25e13, 1), scientific(6154294272, 2)] == ["1.3e13", "6.15e9"]
    assert [parameters_text(n) for n in (999.96e6, 1.24e9, 850e3, 7)] == [
        "1B",
        "1.24B",
        "850k",
        "7",
    ]
