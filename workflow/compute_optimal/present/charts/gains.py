"""How good a PRM must be: what it gains, over its ability to find errors and to tell right from
wrong."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from compute_optimal.present import style
from compute_optimal.present.charts.grid import Block, Grid, Panel
from compute_optimal.present.query import Row
from compute_optimal.study.buckets import BUCKETS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ABILITIES: Mapping[str, tuple[str, str]] = {
    "f1": (
        "Over the F1 of finding the first wrong step",
        "F1 of the PRM, over all policies' solutions (%)",
    ),
    "discrimination": (
        "Over the share of right samples that score above wrong ones",
        "discrimination of the PRM on the policy at hand (%)",
    ),
}
METHODS = ("best_of_n", "beam_search", "dvts", "compute_optimal")
_MEAN = "mean over policies"
_BUCKETS = ("all", *BUCKETS)
_NOTHING = "no PRM has both a known ability and results"


def by_policy(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """Gain over majority voting: a block per ability, a panel per method, a line per policy."""
    shown = [row for row in rows if row["against"] == "majority" and row["bucket"] == "all"]
    looks = _of_policies(shown)
    blocks = [_block(shown, ability, looks, "policy") for ability in ABILITIES]
    return _grid(title, subtitle, "gain over majority voting (points)", blocks, looks, shown)


def by_difficulty(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """The same for the mean over policies, or for the only policy: a line per difficulty."""
    of_all = [row for row in rows if row["against"] == "majority"]
    first = of_all[0]["policy"] if of_all else None
    shown = [row for row in of_all if row["policy"] == first]
    looks = {
        bucket: style.series_look(
            "all problems" if bucket == "all" else bucket, position, len(_BUCKETS)
        )
        for position, bucket in enumerate(_BUCKETS)
        if any(row["bucket"] == bucket for row in shown)
    }
    if "all" in looks:
        looks["all"] = looks["all"]._replace(colour=style.INK)
    blocks = [_block(shown, ability, looks, "bucket") for ability in ABILITIES]
    whose = _MEAN if first is None else of_all[0]["policy_title"]
    return _grid(
        title, f"{subtitle}; {whose}", "gain over majority voting (points)", blocks, looks, shown
    )


def change_with_budget(rows: Sequence[Row], title: str, subtitle: str) -> Grid:
    """How best-of-N changes from the smallest to the largest N: a panel per ability."""
    shown = [row for row in rows if row["against"] == "fewest" and row["bucket"] == "all"]
    looks = _of_policies(shown)
    blocks = [_block(shown, ability, looks, "policy", ("best_of_n",)) for ability in ABILITIES]
    return _grid(
        title,
        "; ".join([subtitle, *(f"from N = {row['fewest']:,}" for row in shown[:1])]),
        "change of accuracy (points)",
        blocks,
        looks,
        shown,
        columns=1,
    )


def _of_policies(rows: Sequence[Row]) -> dict[str | None, style.Look]:
    policies = sorted(
        {row["policy"]: row for row in rows if row["policy"] is not None}.values(),
        key=lambda row: (row["n_parameters"] or 0, row["policy"]),
    )
    looks: dict[str | None, style.Look] = {
        row["policy"]: style.policy_look(
            f"{row['policy_title']} ({style.parameters_text(row['n_parameters'])})", row
        )
        for row in policies
    }
    if any(row["policy"] is None for row in rows):
        looks[None] = style.Look(_MEAN, _MEAN, style.INK, "o")
    return looks


def _grid(
    title: str,
    subtitle: str,
    y_title: str,
    blocks: Sequence[Block],
    looks: Mapping[str | None, style.Look] | Mapping[str, style.Look],
    rows: Sequence[Row],
    columns: int = 2,
) -> Grid:
    budgets = sorted({row["budget"] for row in rows})
    details = [f"N = {', '.join(f'{n:,}' for n in budgets)}"] if budgets else []
    return Grid(
        title,
        "; ".join([subtitle, *details]),
        "",
        y_title,
        blocks,
        [style.handle(look, band=False) for look in looks.values()],
        panel_height=2.3 if columns == 1 else 1.9,
        columns=columns,
    )


def _block(
    rows: Sequence[Row],
    ability: str,
    looks: Mapping[str | None, style.Look] | Mapping[str, style.Look],
    key: str,
    methods: Iterable[str] = METHODS,
) -> Block:
    block_title, x_title = ABILITIES[ability]
    known = [row for row in rows if row[ability] is not None]
    ends = [row[end] for row in known for end in ("gain", "ci_low", "ci_high")] or [-1.0, 1.0]
    margin = 0.06 * (max(ends) - min(ends)) or 1.0
    x = [row[ability] for row in known] or [0.0, 100.0]
    spare = 0.04 * (max(x) - min(x)) or 1.0

    def prepare(axes: Axes) -> None:
        axes.set_ylim(min(*ends, 0.0) - margin, max(*ends, 0.0) + margin)
        axes.set_xlim(max(0.0, min(x) - spare), max(x) + spare)
        axes.locator_params(axis="both", nbins=6)

    panels = [
        _panel([row for row in known if row["method"] == method], method, ability, looks, key)
        for method in methods
    ]
    return Block(block_title, panels, prepare, x_title)


def _panel(
    rows: Sequence[Row],
    method: str,
    ability: str,
    looks: Mapping[str | None, style.Look] | Mapping[str, style.Look],
    key: str,
) -> Panel:
    # The thickest line is what the note is about.
    lead = None if key == "policy" else "all"
    leading = [row for row in rows if row[key] == lead]
    if not leading and len({row[key] for row in rows}) == 1:
        leading = [*rows]

    def paint(axes: Axes) -> None:
        axes.axhline(0, color=style.FAINT, linewidth=0.8, zorder=1)
        for name, look in looks.items():
            mine = sorted((row for row in rows if row[key] == name), key=lambda row: row[ability])
            leads = name == lead
            if not mine:
                continue
            places = [row[ability] for row in mine]
            lows, highs = ([row[end] for row in mine] for end in ("ci_low", "ci_high"))
            axes.vlines(
                places, lows, highs, color=look.colour, alpha=0.8 if leads else 0.35, linewidth=1.0
            )
            axes.plot(
                places,
                [row["gain"] for row in mine],
                color=look.colour,
                marker=look.marker,
                linestyle="-",
                linewidth=1.6 if leads else 0.7,
                markeredgecolor="white",
                markeredgewidth=0.4,
                label=str(name),
                zorder=4 if leads else 3,
            )
        begin = leading[0][f"{ability}_threshold"] if leading else None
        if begin is not None and math.isfinite(begin):
            axes.axvline(begin, color=style.MUTED, linewidth=0.8, linestyle=":", label="begins")

    return Panel(
        f"{method}|{ability}",
        style.METHODS[method].label,
        paint if rows else None,
        absent=_NOTHING,
        note=style.joined(threshold_text(leading[0], ability), exceptions_text(leading, ability))
        if leading
        else "",
    )


def threshold_text(row: Row, ability: str) -> str:
    """Where gains begin on the axis of ``ability`` (in percent), in words; empty for too few
    PRMs."""
    value = row[f"{ability}_threshold"]
    if value is None:
        return ""
    verb = "pays" if row["against"] == "majority" else "more samples help"
    if math.isinf(value):
        pays = "for every PRM here" if value < 0 else "for no PRM here"
    else:
        pays = f"from {style.fixed(value)}"
    low, high = row[f"{ability}_low"], row[f"{ability}_high"]
    if low == high and math.isinf(low):
        return f"{verb} {pays}"
    ends = [_end_text(end) for end in (low, high)]
    return f"{verb} {pays} [{ends[0]}, {ends[1]}]"


def exceptions_text(rows: Sequence[Row], ability: str) -> str:
    """How many PRMs are abler than where gains begin and lose all the same; empty for none.

    The fit that says where they begin cannot decrease; gains can. ``rows``: one a PRM.
    """
    begin = rows[0][f"{ability}_threshold"]
    if begin is None:
        return ""
    gains = [row["gain"] for row in rows if row[ability] > begin]
    n_losing = sum(gain < 0 for gain in gains)
    verb = "loses" if n_losing == 1 else "lose"
    return f"{n_losing} of {len(gains)} PRMs there {verb}" if n_losing else ""


def _end_text(end: float) -> str:
    if math.isinf(end):
        return "every" if end < 0 else "none"
    return style.fixed(end)
