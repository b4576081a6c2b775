"""The rollout browser, from made-up engines to the page, with a hostile policy too."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import chromium
import duckdb
import numpy as np
import pytest
from searched_study import browser_page, data_of, run_study, unpacked
from synthetic_study import POLICIES, PRMS, ROLLOUTS, SyntheticStudy

from compute_optimal.analyse.answer_grid import SCORINGS, scores_of_solutions
from compute_optimal.analyse.statistics.estimators import best_of_k, weighted_vote_at_k
from compute_optimal.present.pages import browser
from compute_optimal.present.pages.browser import _scores
from compute_optimal.present.query import run_query
from compute_optimal.search.records import Fate

HOSTILE = (
    "</script><script>document.title='taken'</script>",
    "<!--<script><img src=x onerror=\"document.title='taken'\">",
    "NUL \x00, override \u202eedirrevo\u202c, separators \u2028 \u2029, mark \ufeff",
    "]]> &lt;b&gt; {{ 7 * 7 }} <svg onload=alert(1)>",
)


class Markup(HTMLParser):
    """Every tag of a page, and the content of its scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_trees_paths_and_votes_are_there_and_fit_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(browser_page(*run_study(tmp_path, monkeypatch)))
    (cell,) = data["cells"]
    assert data["budgets"] == [4, 16]
    problem = cell["problems"][0]
    assert data["texts"][problem["text"]].startswith("Start with")
    assert [len(problem["samples"]), problem["nPool"]] == [16, 16]
    for sample in problem["samples"]:
        assert len(sample["steps"]) == len(sample["scores"][0]["margins"])
        assert sample["checked"]
        assert sample["firstError"] is None or sample["firstError"] < len(sample["steps"])
        assert int(sample["seed"]) >= 0
    assert {"samples", "step_scores", "searches"} == {row["kind"] for row in cell["made"]}
    assert all(row["digest"] and row["seed"] and row["engine"] for row in cell["made"])
    assert cell["prompt"].keys() == {"system", "suffix"}
    searches = {(s["method"], s["budget"]): s for s in problem["searches"]}
    assert searches.keys() == {("beam_search", 4), ("beam_search", 16), ("dvts", None)}
    for search in searches.values():
        nodes = {(node[0], node[2]): node for node in search["nodes"]}
        assert {data["fates"][node[6]] for node in nodes.values()} > {"kept"}
        truths = dict(zip(nodes, search["truths"], strict=True))
        for name, node in nodes.items():
            # What follows an error has one.
            assert node[3] is None or truths[node[0], node[3]] or not truths[name]
        for path in search["paths"]:
            margins, node = [], nodes[path["subtree"], path["leaf"]]
            while node:
                margins.insert(0, node[5])
                node = node[3] is not None and nodes[node[0], node[3]]
            assert margins == path["scores"]["margins"]


def test_what_a_hostile_policy_writes_is_data_and_never_markup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser_page(*run_study(tmp_path, monkeypatch, sentences=HOSTILE, problems=1))
    # In the file: plain ASCII without control characters, and the tags of the template only.
    assert re.fullmatch(r"[\n\x20-\x7e]*", page)
    tags = Markup(page).tags
    assert [tag for tag, _ in tags if tag in ("script", "style", "img", "svg")] == [
        "style",
        "script",
        "script",
        "script",
        "script",
    ]
    assert not [name for _, names in tags for name in names if name.startswith("on")]
    # What runs is what the policy names; the data are whole.
    blocks = [content for _, content in re.findall(r"<(script|style)>(.*?)</\1>", page, re.DOTALL)]
    blocks += map(unpacked, re.findall(r'class="packed-script">([^<]*)', page))
    assert len(blocks) == 4
    (rules,) = [a["content"] for _, a in tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert rules is not None
    assert rules.startswith("default-src 'none'")
    for content in blocks:
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules
    texts = data_of(page)["texts"]
    for sentence in HOSTILE:
        assert any(text.startswith(sentence) for text in texts)


def test_the_script_makes_no_markup_of_strings() -> None:
    script = Path("workflow/compute_optimal/present/pages/browser.js").read_text(encoding="utf-8")
    unsafe = r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|Function\(|\bfetch\b|http:"
    assert re.findall(unsafe, script.replace("http://www.w3.org/2000/svg", "")) == []


def test_the_legend_of_a_tree_names_all_that_became_of_its_steps() -> None:
    """Of sixteen first steps that are one, fifteen were called "not usable"."""
    script = (Path(browser.__file__).parent / "browser.js").read_text(encoding="utf-8")
    legend = script.partition("function legend()")[2].partition("\n}\n")[0]
    words = {
        "kept": "score 1", "pruned": "pruned", "duplicate": "duplicate", "truncated": "cut",
        "empty": "empty", "over_context": "too long",
    }  # fmt: skip
    assert words.keys() == {*get_args(Fate)}
    assert [fate for fate, word in words.items() if word not in legend] == []


def test_a_page_that_would_be_too_large_shows_less(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, database = run_study(tmp_path, monkeypatch)
    monkeypatch.setattr("compute_optimal.present.pages.browser.SIZE_LIMIT", 1)
    data = data_of(browser_page(options, database))
    assert (data["problemsOfKind"], data["budgets"], data["leftOut"]) == (1, [4], 16)
    assert data["largest"] == 4
    (cell,) = data["cells"]
    assert {len(problem["samples"]) for problem in cell["problems"]} == {4}
    assert {s["budget"] for p in cell["problems"] for s in p["searches"]} == {4, None}


def test_a_page_says_that_larger_budgets_are_stored_only_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of adopted rollouts names budgets that no pool of its has."""
    options, database = run_study(tmp_path, monkeypatch, problems=1)
    description = Path(options[-1])
    content = json.loads(description.read_text())
    assert content["study"]["budgets"] == [4, 16]
    content["study"]["budgets"] = [4, 64, 256]
    description.write_text(json.dumps(content))
    data = data_of(browser_page(options, database))
    assert (data["largest"], data["leftOut"]) == (4, 16)
    content["study"]["budgets"] = [4, 16, 64]
    description.write_text(json.dumps(content))
    data = data_of(browser_page(options, database))
    assert (data["largest"], data["leftOut"]) == (16, None)


def test_every_policy_on_the_page_has_something_to_show(tmp_path: Path) -> None:
    """Of large models that others ran there is one greedy answer: the page opened on nothing."""
    study = SyntheticStudy(
        tasks=(("math500", "MATH-500", 6),), policies=POLICIES[:1], prms=PRMS[:1], budgets=(4,),
        rollouts=ROLLOUTS,
    )  # fmt: skip
    assert any(rollouts.is_greedy for rollouts in ROLLOUTS)
    database = study.write(tmp_path / "study.duckdb")
    with duckdb.connect(str(database)) as connection:
        for table, replaced in (("tasks", ""), ("problems", ", ids.problem_id AS problem_id")):
            connection.execute(
                f"INSERT INTO {table} SELECT one.* REPLACE ('outside' AS task{replaced})"
                f" FROM (FROM {table} LIMIT 1) AS one, (SELECT DISTINCT problem_id FROM answers"
                f" WHERE task = 'outside' {'LIMIT 1' * (table == 'tasks')}) AS ids"
            )
    rows = run_query("browser_problems", database)
    assert {row["policy"] for row in rows} == {POLICIES[0][0], "small--a", "smaller"}
    for row in rows:
        asked = {"task": row["task"], "policy": row["policy"]}
        asked["problems"] = json.dumps([row["problem_id"]])
        assert run_query("browser_answers", database, asked), asked


def test_a_right_path_counts_as_pruned_at_the_largest_budget_of_a_search_alone(
    tmp_path: Path,
) -> None:
    """The page says that kinds are judged there; a search of few beams prunes more."""
    study = SyntheticStudy(policies=POLICIES[:1], prms=PRMS[:2], budgets=(4, 16))
    database = study.write(tmp_path / "study.duckdb")
    task, policy, prm = study.tasks[0][0], POLICIES[0][0], PRMS[0][0]
    with duckdb.connect(str(database)) as connection:
        (few, many, *_) = connection.sql("SELECT DISTINCT problem_id FROM problems").fetchall()
        for budget, outcomes in ((4, ("pruned", "found")), (16, ("found", "pruned"))):
            connection.executemany(
                "INSERT INTO pruning VALUES (?, ?, ?, 'beam_search', ?, ?, ?, 2)",
                [
                    (task, policy, prm, budget, problem, outcome)
                    for (problem,), outcome in zip((few, many), outcomes, strict=True)
                ],
            )
    rows = run_query("browser_problems", database)
    assert len(rows) > 1
    pruned = {row["problem_id"] for row in rows if "pruned" in row["kinds"]}
    assert pruned == {*many}


NEAR = {
    "votes without weight": [[-30.0], [-64.0], [-27.5]],
    "sums of sure votes": [[9.12345], [9.12346], [9.12344]],
    "means apart in the seventh place": [[2.0, -1.0], [2.0, -1.0000003], [2.0, -0.9999999]],
    "the same mean in another order": [[2.0, -1.0, 3.0], [3.0, 2.0, -1.0], [-5.0, -5.0, -5.0]],
    "saturated": [[math.inf, 2.0], [2.0, math.inf], [1.0, math.inf]],
}


@pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine")
def test_the_page_names_the_winners_of_the_studys_votes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rounded to four places, scores near 0 or 1 were all alike, and several answers won."""
    browser_page(*run_study(tmp_path, monkeypatch, problems=1))
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open((tmp_path / "results" / "browser.html").as_uri())
        tab.until("document.querySelector('h2')")
        for name, margins in NEAR.items():
            answers = [
                {"status": "graded", "group": i, "correct": False, "answer": None, "scores": [of]}
                for i, of in enumerate(_scores(margins))
            ]
            scores = scores_of_solutions(margins)
            for place, scoring in enumerate(SCORINGS):
                ranking, weight = zip(*(of[place] for of in scores), strict=True)
                correct = np.eye(3)
                expected = [
                    best_of_k(correct, np.tile(ranking, (3, 1)), [3])[:, 0],
                    weighted_vote_at_k(
                        np.tile([0, 1, 2], (3, 1)), correct, np.tile(weight, (1, 3, 1)), [3], 2, 0
                    )[0][0, :, 0],
                ]
                shown = tab.value(
                    f"choice.scoring = '{scoring}', votes({json.dumps(answers)}, 0)[1]"
                    ".querySelectorAll('tbody tr').values().map((row) => [3, 4].map("
                    "(i) => row.children[i].textContent.startsWith('\u25c0'))).toArray()"
                )
                won = [[share > 0 for share in of] for of in expected]
                assert [*map(list, zip(*shown, strict=True))] == won, (name, scoring)
        assert tab.problems == []


@pytest.mark.skipif(chromium.found() is None, reason="no Chromium on this machine")
def test_the_page_is_worked_by_keys_names_and_the_way_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = browser_page(*run_study(tmp_path, monkeypatch, sentences=HOSTILE))
    problems = [problem["id"] for problem in data_of(page)["cells"][0]["problems"]]
    assert len(problems) > 1
    with chromium.running(tmp_path / "profile") as browser:
        tab = browser.tab()
        tab.open((tmp_path / "results" / "browser.html").as_uri(), dark=True)
        tab.until("document.querySelector('[role=treeitem][aria-selected=true]')")
        address = "Object.fromEntries(new URLSearchParams(location.hash.slice(1)))"
        first = tab.value(address)
        assert (first["problem"], first["method"]) == (problems[0], "beam_search")
        # Next by a key, and the browser's way back.
        press = "dispatchEvent(new KeyboardEvent('keydown', {{key: '{}', bubbles: true}}))"
        tab.value(f"document.body.{press.format('j')}")
        assert tab.value(address)["problem"] == problems[1]
        tab.value("history.back()")
        tab.until(f"{address.replace('location', 'window.location')}.problem === '{problems[0]}'")
        tab.until(f"document.querySelector('h2').textContent === 'Problem {problems[0]}'")
        # Through the tree: to a neighbour, whose name says all that its look does.
        chosen = "document.querySelector('[aria-selected=true]')"
        tab.value(f"{chosen}.focus()")
        before = tab.value(f"{chosen}.dataset.node")
        tab.value(f"{chosen}.{press.format('ArrowLeft')}")
        assert tab.value(f"{chosen}.dataset.node") != before
        assert tab.value("document.activeElement.getAttribute('aria-selected')") == "true"
        assert re.match(
            r"Step \d+, kept, score [\d.]+, (right so far|has an error)",
            tab.value(f"{chosen}.getAttribute('aria-label')"),
        )
        # An address that somebody edited: what is no kind is none that objects have by nature.
        tab.value("location.hash = 'kind=constructor&scoring=toString&budget=x', 1")
        tab.until("document.querySelector('[name=\"What is seen\"]').value === ''")
        assert "Problem" in tab.value("document.querySelector('h2').textContent")
        assert tab.value("[counted(1, 'sample'), counted(2, 'sample')]") == [
            "1 sample",
            "2 samples",
        ]
        # It opens where the most is seen.
        seen = tab.value("mostSeen([[], ['a', 'b'], ['c']].map((kinds) => ({ kinds }))).kinds")
        assert seen == ["a", "b"]
        # A link of a claim names a scale, and the page says of which it is.
        said = "document.getElementById('evidence').textContent"
        assert "The scale model (no evidence about large models)" in tab.value(said)
        tab.value("data.cells.push({...data.cells[0], adopted: true, task: 'other'}), 1")
        tab.value("location.hash = 'scale=public', 1")
        tab.until(f"{said}.includes('Real models, public rollouts')")
        assert tab.value("choice.task") == "other"
        tab.value("location.hash = 'scale=study', 1")
        tab.until(f"{said}.includes('The scale model')")
        # What nobody wrote is not found, and the page says so.
        find = "document.querySelector('[name=Find]')"
        tab.value(f"{find}.value = 'zebra'; {find}.dispatchEvent(new Event('input'))")
        assert "No problem" in tab.value("document.getElementById('main').textContent")
        assert tab.value("document.title").startswith("Rollouts of the study")
        assert tab.problems == []
