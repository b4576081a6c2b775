"""Tables 7 and 8: how problems are put to policies."""

from __future__ import annotations

from collections.abc import Sequence

from compute_optimal.present.query import Row
from compute_optimal.present.tables.model import Cell, Column, Table


def prompts(rows: Sequence[Row], title: str) -> Table:
    """The prompts in use, one line of their text a row, so that line breaks are kept."""
    body: list[list[Cell]] = []
    for row in rows:
        parts = {
            "policies": row["policies"],
            "system": "none" if row["system"] is None else row["system"],
            "user": f"{{problem}}{row['user_suffix']}",
            "template": row["template_arguments"],
            "source": row["source"],
        }
        body += [
            [row["prompt"], part, number, line]
            for part, text in parts.items()
            if text
            for number, line in enumerate(text.split("\n"), start=1)
            if line
        ]
    return Table(
        title,
        [
            Column("prompt", "Prompt"),
            Column("part", "Part"),
            Column("line", "Line", "number", digits=0),
            Column("text", "Text"),
        ],
        body,
        [
            "System and user: the two turns, line by line, around which the policy's own chat "
            "template is put; {problem} is the text of the problem. Template: values for variables "
            "of the chat template. Source: where the wording comes from. Blank "
            "lines have a number, but no row."
        ],
    )
