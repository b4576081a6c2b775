"""Numbers that ``data/README.md`` says of the shipped results are those of the shipped results."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
import pytest

from compute_optimal.ship.audit import KINDS
from compute_optimal.ship.plausibility import chance_to_find, too_many

DATA = Path(__file__).parents[2] / "data"
EXPECTED = DATA / "expected" / "micro"
TASK = "arithmetic-chains"
BUDGETS = (4, 16, 64, 256)


def rows_with(n_cells: int) -> list[list[str]]:
    """Rows of the tables of so many columns, about a model of the scale model."""
    text = (DATA / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| micro-")
    ]
    return [row for row in rows if len(row) == n_cells]


def accuracies() -> pl.DataFrame:
    main = pl.col("method").is_in(["majority"]) | (
        (pl.col("scoring") == "prm_last") & (pl.col("voting") == "prm_max")
    )
    curves = pl.read_csv(EXPECTED / "curves.csv.gz", infer_schema_length=None)
    return curves.filter(main, task=TASK, bucket="all")


def is_rounded(text: str, value: float) -> bool:
    """Whether the number in ``text`` is ``value`` with fewer digits."""
    _, _, decimals = text.strip().partition(".")
    return abs(float(text) - value) <= 0.5 * 10 ** -len(decimals) + 1e-6


def test_pass_at_1_and_buckets_of_the_problems() -> None:
    overview = pl.read_csv(EXPECTED / "tables" / "overview.csv").filter(task=TASK)
    known = {row["policy"]: row for row in overview.iter_rows(named=True)}
    rows = [row for row in rows_with(3) if row[0] in known and row[2].count(" / ") == 2]
    assert len(rows) == len(known) == 6
    for policy, _, said in rows:
        match = re.fullmatch(r"([0-9.]+) [(](\d+) / (\d+) / (\d+)[)]", said)
        assert match is not None, said
        shipped = known[policy]
        assert is_rounded(match[1], shipped["pass_at_1_percent"] / 100), policy
        buckets = [shipped[f"{name}_problems"] for name in ("easy", "medium", "hard")]
        assert [int(match[i]) for i in (2, 3, 4)] == buckets


@pytest.mark.parametrize("method", ["best_of_n", "beam_search", "dvts"])
def test_means_over_the_policies_with_each_prm(method: str) -> None:
    curves = accuracies().filter(method=method)
    column = ("best_of_n", "beam_search", "dvts").index(method) + 1
    rows = [row for row in rows_with(4) if re.fullmatch(r"\S+ [(]\d+[)]", row[0])]
    assert len(rows) == 9
    for row in rows:
        of_prm = curves.filter(prm=row[0].split()[0])
        for budget, said in zip(BUDGETS, row[column].split("/"), strict=False):
            values = of_prm.filter(budget=budget)["accuracy"]
            assert len(values) == 6
            assert is_rounded(said, 100 * float(values.mean() or 0)), (row[0], budget)  # type: ignore[arg-type]


def test_best_of_n_of_each_policy_beside_majority_voting() -> None:
    curves = accuracies()
    prms = [None, *(f"micro-skywork-{name}-prm-0.9M" for name in ("exact", "x64", "x4"))]
    rows = [row for row in rows_with(5) if row[1].count("/") == 3]
    assert len(rows) == 6
    for policy, *columns in rows:
        for prm, column in zip(prms, columns, strict=True):
            of_pair = curves.filter(pl.col("prm").eq_missing(pl.lit(prm)), policy=policy).filter(
                method="majority" if prm is None else "best_of_n"
            )
            for budget, said in zip(BUDGETS, column.split("/"), strict=True):
                (value,) = of_pair.filter(budget=budget)["accuracy"]
                assert is_rounded(said, 100 * value), (policy, prm, budget)


def test_what_is_said_of_beam_search_with_able_prms() -> None:
    """The words go with the numbers beside them."""
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    means = {
        (prm, budget): 100 * float(accuracy)
        for prm, budget, accuracy in accuracies()
        .filter(method="beam_search")
        .group_by("prm", "budget")
        .agg(pl.mean("accuracy"))
        .iter_rows()
    }
    able = [row[0].split()[0] for row in rows_with(4) if re.search(r"[(]9\d[)]", row[0])]
    assert len(able) == 4
    assert "beam search gains half a point at most from 16 to 64" in text
    for prm in able:
        assert 0 < means[prm, 64] - means[prm, 16] <= 0.5 + 1e-9
    said = re.search(
        r"beam search gains ([0-9.]+) points on 16 [(][0-9. to]+[)], to ([0-9.]+)", text
    )
    assert said is not None
    ablest = "micro-skywork-exact-prm-0.9M"
    assert is_rounded(said[1], means[ablest, 256] - means[ablest, 16])
    assert is_rounded(said[2], means[ablest, 256])


def rows_below(heading: str) -> list[list[str]]:
    """Rows of the one table whose heading begins so."""
    lines = (DATA / "README.md").read_text(encoding="utf-8").splitlines()
    (start,) = [number for number, line in enumerate(lines) if line.startswith(heading)]
    end = lines.index("", start)
    return [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines[start + 2 : end]
    ]


def test_what_generation_took() -> None:
    kind = pl.col("what").replace_strict(
        {"CoT, greedy": "samples", "samples": "samples", "samples for difficulty": "samples",
         "scores of samples": "step_scores"}, default="searches",
    )  # fmt: skip

    def shared(count: str, percent: str) -> pl.Expr:
        return (pl.col(count) * pl.col(percent).fill_null(0) / 100).sum()

    spent = (
        pl.read_csv(EXPECTED / "tables" / "cost_ledger.csv")
        .group_by("task", kind.alias("units"))
        .agg(
            pl.sum("generated_tokens"),
            shared("generated_tokens", "shared_percent").alias("generated_shared"),
            pl.sum("prm_tokens_computed"),
            shared("prm_tokens_computed", "prm_shared_percent").alias("prm_shared"),
            pl.sum("seconds"),
        )
    )
    known = {(task, units): values for task, units, *values in spent.iter_rows()}
    rows = rows_below("| task | units | million tokens generated |")
    assert {(row[0], row[1]) for row in rows} == set(known)
    for task, units, *said in rows:
        *tokens, seconds = known[task, units]
        for text, value in zip(said, [*(n / 1e6 for n in tokens), seconds / 60], strict=True):
            assert is_rounded(text, value), (task, units, text, value)


def test_abilities_of_the_prms() -> None:
    able = pl.read_csv(EXPECTED / "tables" / "prm_ability.csv").filter(policy="all")
    quality = pl.read_csv(EXPECTED / "tables" / "score_quality.csv")
    mean = quality.group_by("prm").agg(
        pl.mean("discrimination_percent", "calibration_error_percent")
    )
    known = {row["prm"]: row for row in able.join(mean, on="prm").iter_rows(named=True)}
    rows = rows_below("| PRM | cause | F1, %")
    assert {row[0] for row in rows} == set(known)
    for prm, _, f1, discrimination, calibration in rows:
        match = re.fullmatch(r"([0-9.]+) [(]([0-9.]+) to ([0-9.]+)[)]", f1)
        assert match is not None, f1
        shipped = known[prm]
        ends = ("f1_percent", "f1_percent_low", "f1_percent_high")
        for text, name in zip(match.groups(), ends, strict=True):
            assert is_rounded(text, shipped[name]), (prm, name)
        assert is_rounded(discrimination, shipped["discrimination_percent"]), prm
        assert is_rounded(calibration, shipped["calibration_error_percent"] / 100), prm


def test_verdicts_on_the_scale_model() -> None:
    claims = pl.read_csv(EXPECTED / "claims.csv").filter(scale="study")
    conditions = pl.format(" ({})", "conditions").fill_null("")
    said = pl.concat_str("statement", conditions)
    shipped = claims.select(said, "verdict", "strict_verdict", "reason").rows()
    assert [tuple(row) for row in rows_below("| claim | verdict |")] == shipped


def test_buckets_of_the_second_task() -> None:
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    said = dict(re.findall(r"(micro-\S+) (\d+/\d+/\d+)[;.]", text))
    overview = pl.read_csv(EXPECTED / "tables" / "overview.csv").filter(task="arithmetic-marathon")
    names = [f"{name}_problems" for name in ("easy", "medium", "hard")]
    assert said == {
        policy: "/".join(map(str, counts))
        for policy, *counts in overview.select("policy", *names).iter_rows()
    }


def test_what_was_adopted() -> None:
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    read = pl.read_csv(EXPECTED / "tables" / "public_collections.csv")
    assert f"for all {read.height} collections" in text
    of_files = read.drop_nulls("n_files")
    names = ("n_files", "n_records", "n_records_used", "n_answers", "n_answers_used")
    files, records, used, answers, answers_used = (f"{of_files[name].sum():,}" for name in names)
    assert f"Their {files} files hold {records} records, of which {used} were used" in text
    assert f"and {answers} answers, of which {answers_used} were" in text


def test_how_far_seconds_hold() -> None:
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    said = re.search(
        r"a token of (\S+)'s samples for difficulty took (\d+) µs on the first task and (\d+) on",
        text,
    )
    assert said is not None
    spent = pl.read_csv(EXPECTED / "tables" / "cost_ledger.csv").filter(
        policy=said[1], what="samples for difficulty"
    )
    each = 1e6 * spent["policy_seconds"] / spent["generated_tokens"]
    for number, value in zip(said.groups()[1:], each, strict=True):
        assert is_rounded(number, value)


def test_what_an_audit_finds() -> None:
    shipped = pl.read_csv(EXPECTED / "rows.csv")
    totals = [
        int(shipped.filter(pl.col("partition").str.starts_with(f"{folder}/"))["n_rows"].sum())
        for folder in ("samples", "step_scores", "search")
    ]
    samples, scores, searches = (f"{total:,}" for total in totals)
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    assert f"of all {samples} samples" in text
    assert f"{scores} scores of nine PRMs, {searches} beam searches and subtrees" in text
    rows = rows_below("| `SHARE=` |")
    assert len(rows) == 2
    for share, counts, _, *chances in rows:
        drawn = [int(n.replace(",", "")) for n in counts.split(", ")]
        expected = [float(share.split()[0]) * total for total in totals]
        assert drawn == pytest.approx(expected, rel=0.05)
        # Another PRM's score is found by itself; of texts and trees a few are excused.
        least = [too_many(n, len(KINDS)) for n in drawn]
        least[1] = 1
        for replaced, said in zip((0.001, 0.01, 0.03), chances, strict=True):
            found = [
                f"{chance_to_find(round(replaced * total), total, n, count):.0%}"
                for total, n, count in zip(totals, drawn, least, strict=True)
            ]
            assert said == ", ".join(found)


def test_how_far_pools_repeat_themselves() -> None:
    text = " ".join((DATA / "README.md").read_text(encoding="utf-8").split())
    said = re.search(
        r"(\d+) to (\d+)% of what PRMs would read of a pool of `arithmetic-chains`", text
    )
    assert said is not None
    scores = pl.read_csv(EXPECTED / "tables" / "cost_ledger.csv").filter(
        task=TASK, what="scores of samples"
    )
    shared = scores["prm_shared_percent"].to_numpy()
    assert is_rounded(said[1], shared.min())
    assert is_rounded(said[2], shared.max())
