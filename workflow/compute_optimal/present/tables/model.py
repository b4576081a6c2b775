"""A table as data, and its written forms.

CSV is for machines: a field of a column of numbers is a number or empty, interval ends are in
fields of their own, and the last column, ``note``, says of each empty field why it is. Markdown,
LaTeX and HTML are for people: "62.1 [58.0, 66.3]", and below a row what the paper prints for it; a
cell that has not been run says so, and is never blank and never 0; a size that nobody says is
unknown.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from compute_optimal.analyse.quantities import Estimate as Estimate
from compute_optimal.analyse.quantities import Relation as Relation
from compute_optimal.present.pages.page import page, sorting_script
from compute_optimal.present.style import (
    NOT_RUN,
    decimals,
    one_line,
    parameters_text,
    percent,
    rounded,
    scientific,
    signed,
)

TIES = (
    "PRMs and methods joined by 'or' do equally well: the answer is either's, each for an equal "
    "share of the problems."
)
"""Note of tables that name what was chosen."""

MARK = "†"
"""Stands at what is printed elsewhere and was not computed here."""
NOT_APPLICABLE = "–"
"""What a cell says to people if there can be nothing in it."""
UNKNOWN = "unknown"
"""What a cell says to people of what nobody says."""
_SHORT = 26
"""Letters of a text that is not broken on a screen."""
_ROUNDING = 1e-12
"""What is so small beside its interval is 0 but for rounding."""
_SIGNS: dict[Relation, str] = {"=": "", ">": ">", "<": "<"}


@dataclass(frozen=True, slots=True)
class Printed:
    """A number as the paper prints it: ">256.0" is a value of 256 with the relation ">"."""

    value: float
    relation: Relation = "="

    @classmethod
    def parse(cls, text: str) -> Printed | None:
        """The number that ``text`` is, with a sign of a bound before it or none; None for any other
        text."""
        match = re.fullmatch(r"\s*([<>]?)\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*", text)
        if match is None:
            return None
        sign: Relation = ">" if match[1] == ">" else "<" if match[1] == "<" else "="
        return cls(float(match[2]), sign)


@dataclass(frozen=True, slots=True)
class Compared:
    """An estimate of this study (None: not run) beside the paper's number (None: not printed).

    ``differs`` says in what the two are unlike, such as N: then they are not compared.
    """

    estimate: Estimate | None
    printed: Printed | None
    differs: str = ""

    @property
    def difference(self) -> float | None:
        """Estimate minus printed value; None if either is missing or only a bound, and if they are
        not compared."""
        if self.estimate is None or self.printed is None or self.differs:
            return None
        exact = self.estimate.relation == self.printed.relation == "="
        return self.estimate.value - self.printed.value if exact else None

    @property
    def inside(self) -> bool | None:
        """Whether the interval admits the printed value; None if there is nothing to compare."""
        estimate, printed = self.estimate, self.printed
        if estimate is None or printed is None or estimate.low is None or estimate.high is None:
            return None
        if self.differs:
            return None
        low = -math.inf if estimate.low_relation == "<" else estimate.low
        high = math.inf if estimate.high_relation == ">" else estimate.high
        reaches = printed.relation == ">" or printed.value >= low
        return reaches and (printed.relation == "<" or printed.value <= high)


def percent_of(
    row: Mapping[str, Any] | None,
    value: str = "accuracy",
    low: str = "ci_low",
    high: str = "ci_high",
) -> Estimate | None:
    """Fractions of a row, by the names of their columns, as an estimate in %; None where there is
    no value."""
    if row is None or row[value] is None:
        return None
    return Estimate(100 * row[value], percent(row[low]), percent(row[high]))


def product(factor: float, *values: float | None) -> float | None:
    """``factor`` times all ``values``; None where one of them is unknown."""
    for value in values:
        if value is None:
            return None
        factor *= value
    return factor


@dataclass(frozen=True, slots=True)
class Named:
    """Something that machines know by an ``id``, as in the database, and people by ``words``."""

    id: str
    words: str


Cell = str | int | float | Estimate | Compared | Printed | Named | None
"""None means that nothing has been run."""


@dataclass(frozen=True, slots=True)
class Column:
    """``name`` is for CSV and ends in the unit; ``heading`` is for people, with the unit in it.

    ``digits``: decimals, or digits after the first if ``scientific``. ``suffix`` follows a number
    that people read.
    """

    name: str
    heading: str
    kind: Literal["text", "number", "estimate", "compared"] = "text"
    digits: int = 1
    suffix: str = ""
    scientific: bool = False
    form: Literal["", "parameters"] = ""
    """parameters: a count that people read as 1.24B."""
    bounds: bool = False
    """Whether values may be bounds: then CSV has the relation of each in a field of its own."""
    interval: bool = True
    """False for a comparison of numbers without intervals."""

    @property
    def absent(self) -> str:
        """What a cell of nothing says: a size is not run, and some publishers do not say theirs."""
        return UNKNOWN if self.form == "parameters" else NOT_RUN


@dataclass(frozen=True, slots=True)
class Table:
    """Columns, rows of as many cells, and notes that belong below.

    ``absent``: what each cell says if there are no rows; None: that nothing has been run.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    absent: str | None = None

    @property
    def has_intervals(self) -> bool:
        """Whether any cell has one."""
        estimates = (
            cell.estimate if isinstance(cell, Compared) else cell
            for row in self.rows
            for cell in row
        )
        return any(isinstance(one, Estimate) and one.low is not None for one in estimates)

    def csv(self) -> str:
        """Comma-separated values with a header line; where columns hold numbers, the column
        ``note`` is the last."""
        return "".join(f"{record}\n" for record in self._records())

    def _records(self) -> Iterator[str]:
        """The lines of ``csv``: the header, then one for each row."""
        has_numbers = any(column.kind != "text" for column in self.columns)
        names = [name for column in self.columns for name in csv_names(column)]
        yield _record([*names, *[NOTE] * has_numbers])
        for row in self._rows_or_absent():
            fields, reasons = [], dict[str, list[str]]()
            for column, cell in zip(self.columns, row, strict=True):
                fields += _csv_fields(column, cell)
                for reason, name in _reasons(column, cell):
                    reasons.setdefault(reason, []).append(name)
            note = "; ".join(f"{reason}: {', '.join(of)}" for reason, of in reasons.items())
            yield _record([*fields, *[note] * has_numbers])

    def markdown(self) -> str:
        """A pipe table with its title and notes; all text but that of the notes, which are written
        here, is escaped."""
        lines = [
            f"**{escape_markdown(self.title)}**",
            "",
            _pipes([escape_markdown(column.heading) for column in self.columns]),
            _pipes(["---" if column.kind == "text" else "---:" for column in self.columns]),
            *(_pipes(row) for row in self._text_rows(escape_markdown, str)),
        ]
        for note in self.notes:
            lines += ["", note]
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """A booktabs tabular (a longtable beyond 40 lines) with its notes, the title in a comment;
        all text is escaped."""
        body = self._text_rows(escape_latex, escape_latex)
        environment = "longtable" if len(body) > 40 else "tabular"
        layout = "".join("l" if column.kind == "text" else "r" for column in self.columns)
        head = _ampersands([escape_latex(column.heading) for column in self.columns])
        lines = [
            f"% {one_line(self.title)}",
            "% needs the packages booktabs and longtable; wide tables need a landscape page",
            r"{\footnotesize",
            f"\\begin{{{environment}}}{{@{{}}{layout}@{{}}}}",
            r"\toprule",
            head,
            r"\midrule",
            *(r"\endhead" for _ in range(environment == "longtable")),
            *(_ampersands(row) for row in body),
            r"\bottomrule",
            f"\\end{{{environment}}}",
            *(rf"\par {escape_latex(note)}" for note in self.notes),
            r"\par}",
        ]
        return "\n".join(lines) + "\n"

    def html(self) -> str:
        """The HTML of a page of its own: sorted by a click, filtered by words, in no need of a
        network. It saves the rows that it shows as they are in ``csv``."""
        header, *records = self._records()
        lines = self._text_rows(str, str)
        groups = zip(self._rows_or_absent(), records, strict=True)
        rows = []
        for line in lines:
            printed = line[0] == f"printed{MARK}"
            cells, record = ([None] * len(line), None) if printed else next(groups)
            rows.append(
                {
                    "printed": printed,
                    "csv": record,
                    "cells": [
                        {"text": text, "value": _plain(_order(cell)).replace("inf", "Infinity")}
                        for cell, text in zip(cells, line, strict=True)
                    ],
                }
            )
        looks = []
        for place, column in enumerate(self.columns):
            longest = max(len(line[place]) for line in lines)
            name = "name" if longest > _SHORT else "short"
            looks.append("number" if column.kind != "text" else name)
        title, opened, subtitle = self.title.partition(" (")
        return page(
            Path(__file__).parent / "table.html",
            title=title,
            subtitle=subtitle[:-1] if opened and subtitle.endswith(")") else subtitle,
            scripts=[sorting_script()],
            columns=self.columns,
            header=header,
            looks=looks,
            rows=rows,
            notes=self.notes,
        )

    def _repr_markdown_(self) -> str:
        return self.markdown()

    def _rows_or_absent(self) -> Sequence[Sequence[Cell]]:
        return self.rows or [[self.absent or NOT_RUN] * len(self.columns)]

    def _text_rows(
        self, escape: Callable[[str], str], escape_number: Callable[[str], str]
    ) -> list[list[str]]:
        """Rows as people read them; printed values stand in a row of their own below.

        Names come from outside and need more care than the numbers that are written here.
        """

        def write(column: Column, cell: Cell) -> str:
            if isinstance(cell, Named):
                return escape(cell.words)
            if isinstance(cell, str):
                return escape(cell)
            return escape_number(_text(column, cell))

        lines: list[list[str]] = []
        for row in self._rows_or_absent():
            pairs = [*zip(self.columns, row, strict=True)]
            lines.append([write(column, cell) for column, cell in pairs])
            if any(isinstance(cell, Compared) and cell.printed for cell in row):
                below = [f"printed{MARK}", *(_printed_text(*pair) for pair in pairs[1:])]
                lines.append([escape_number(text) for text in below])
        return lines


def _order(cell: Cell) -> float | None:
    """What a column is sorted by; None for text and for what was not run."""
    if isinstance(cell, Compared):
        cell = cell.estimate
    if isinstance(cell, Estimate | Printed):
        return cell.value
    return cell if isinstance(cell, int | float) else None


def escape_markdown(text: str) -> str:
    """Text that Markdown, its formulas and HTML show as it is, on one line."""
    # A numeric reference is inert everywhere; a backslash is not, between dollar signs.
    # An underscore within a word is none of Markdown's marks.
    marks = r"[\\`*{}\[\]<>&#|$~^]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])"
    return re.sub(marks, lambda match: f"&#{ord(match[0])};", one_line(text))


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "†": r"\textsuperscript{\dag}",
    "×": r"$\times$",
    "−": r"$-$",
    "±": r"$\pm$",
    "∞": r"$\infty$",
    "≥": r"$\geq$",
    "–": "--",
    "…": r"\ldots{}",
    **{character: "\\" + character for character in "&%$#_{}"},
}


def escape_latex(text: str) -> str:
    """Text that LaTeX sets as it is, on one line. A leading bracket cannot become an argument."""
    escaped = "".join(_LATEX.get(character, character) for character in one_line(text))
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _pipes(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ampersands(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _number(
    column: Column, value: float, relation: Relation = "=", *, shows_side: bool = False
) -> str:
    """``shows_side``: in as many decimals as show on which side of 0 it is."""
    if column.form == "parameters":
        return parameters_text(value)
    digits = decimals(value, column.digits, 0.0) if shows_side else column.digits
    if column.scientific:
        text = scientific(value, column.digits)
    else:
        # z: what rounds to zero has no sign.
        text = f"{rounded(value, digits):z,.{digits}f}"
    text = text if math.isfinite(value) else "∞"
    return f"{_SIGNS[relation]}{text}{column.suffix}".replace("-", "−")


def _record(fields: Sequence[str]) -> str:
    """One line of CSV, without its end."""
    stream = io.StringIO()
    csv.writer(stream, lineterminator="").writerow(fields)
    return stream.getvalue()


def _text(column: Column, cell: int | float | Estimate | Compared | Printed | None) -> str:
    if isinstance(cell, Compared):
        cell = cell.estimate
    if cell is None:
        return column.absent
    if isinstance(cell, Printed):
        return f"{_number(column, cell.value, cell.relation)}{MARK}"
    if isinstance(cell, Estimate):
        if cell.low is None or cell.high is None:
            return _number(column, cell.value, cell.relation)
        is_told = cell.low > 0 or cell.high < 0
        value = _number(column, cell.value, cell.relation, shows_side=is_told)
        low = _number(column, cell.low, cell.low_relation, shows_side=True)
        high = _number(column, cell.high, cell.high_relation, shows_side=True)
        return f"{value} [{low}, {high}]"
    return _number(column, cell)


def _printed_text(column: Column, cell: Cell) -> str:
    if not isinstance(cell, Compared) or cell.printed is None:
        return ""
    text = _number(column, cell.printed.value, cell.printed.relation)
    remarks = [cell.differs] if cell.differs else []
    if cell.difference is not None and not column.scientific:
        remarks.append(signed(cell.difference, 0.0, digits=column.digits))
    if cell.inside is not None:
        remarks.append("inside" if cell.inside else "outside")
    return f"{text} ({', '.join(remarks)})" if remarks else text


NOTE = "note"
"""The column of a CSV file that says why fields are empty."""


def csv_names(column: Column) -> list[str]:
    """Names of the fields that a column has in CSV."""
    if column.kind in ("text", "number"):
        return [column.name]
    numbers = [column.name, *[f"{column.name}_low", f"{column.name}_high"] * column.interval]
    names = [*numbers, *(f"{name}_relation" for name in numbers if column.bounds)]
    if column.kind == "compared":
        printed = f"{column.name}_printed"
        names += [printed, *[f"{printed}_relation"] * column.bounds, f"{column.name}_difference"]
        names += [f"{printed}_inside_interval"] * column.interval
    return names


def _csv_fields(column: Column, cell: Cell) -> list[str]:
    if column.kind == "text":
        text = cell.id if isinstance(cell, Named) else cell
        return [NOT_RUN if text is None else one_line(str(text))]
    if column.kind == "number":
        return [_plain(_order(cell))]
    ends = _ends(cell) if column.interval else _ends(cell)[:1]
    if column.kind == "estimate" and isinstance(cell, Printed):
        ends[0] = (cell.value, cell.relation)
    fields = [_plain(value) for value, _ in ends]
    if column.bounds:
        fields += ["" if value is None else relation for value, relation in ends]
    if column.kind == "compared":
        compared = _as_compared(cell)
        printed = compared.printed
        fields.append(_plain(printed.value if printed else None))
        if column.bounds:
            fields.append(printed.relation if printed else "")
        fields.append(_plain(compared.difference))
        if column.interval:
            inside = {True: "yes", False: "no", None: "not comparable"}[compared.inside]
            fields.append(inside if printed else "not printed")
    return fields


def _reasons(column: Column, cell: Cell) -> Iterator[tuple[str, str]]:
    """Why fields of the cell are empty, or are not of this study, with the first one's name."""
    if column.kind == "text":
        return
    compared = _as_compared(cell)
    if isinstance(cell, str):
        yield "does not apply" if cell == NOT_APPLICABLE else one_line(cell), column.name
    elif isinstance(cell, Printed):
        yield "only printed" if column.kind == "compared" else "as printed", column.name
    elif cell is None or (isinstance(cell, Compared) and cell.estimate is None):
        yield column.absent, column.name
    elif column.kind != "number" and column.interval and _ends(cell)[1][0] is None:
        yield "no interval", column.name
    if column.kind == "compared" and not column.interval and compared.printed is None:
        yield "not printed", f"{column.name}_printed"
    if compared.differs and compared.printed:
        yield compared.differs, f"{column.name}_printed"


def _as_compared(cell: Cell) -> Compared:
    if isinstance(cell, Compared):
        return cell
    if isinstance(cell, int | float):
        cell = Estimate(cell)
    return Compared(
        cell if isinstance(cell, Estimate) else None, cell if isinstance(cell, Printed) else None
    )


def _ends(cell: Cell) -> list[tuple[float | None, Relation]]:
    """Value, lower and upper end of an estimate, each with its relation; None without one."""
    estimate = _as_compared(cell).estimate
    if estimate is None:
        return [(None, "=")] * 3
    ends = estimate.value, estimate.low, estimate.high
    # What a difference of equal means leaves depends on the processor's order of summation.
    known = [abs(end) for end in ends if end is not None and math.isfinite(end)]
    nothing = _ROUNDING * max(known, default=0.0)
    relations = estimate.relation, estimate.low_relation, estimate.high_relation
    return [
        (0.0 if end is not None and abs(end) <= nothing else end, relation)
        for end, relation in zip(ends, relations, strict=True)
    ]


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.10g}"
