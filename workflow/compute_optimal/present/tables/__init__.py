"""Tables of the study: one definition each, written as CSV, Markdown, LaTeX and HTML."""

from compute_optimal.present.tables.model import (
    Column,
    Compared,
    Estimate,
    Named,
    Printed,
    Table,
)

__all__ = ["Column", "Compared", "Estimate", "Named", "Printed", "Table"]
