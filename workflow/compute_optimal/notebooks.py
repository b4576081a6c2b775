"""Notebooks: executed with the study's database, exported to HTML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError


def run_notebook(notebook: Path, database: Path, executed: Path, html: Path) -> None:
    """Execute ``notebook`` with its parameter ``database`` set, and export it.

    Raises ``StudyError`` with the cell's own error where a cell fails; the half-executed notebook
    is kept for a look.
    """
    import nbformat
    import papermill
    from nbconvert import HTMLExporter

    executed.parent.mkdir(parents=True, exist_ok=True)
    try:
        papermill.execute_notebook(
            notebook,
            executed,
            parameters={"database": str(database.resolve())},
            # The one kernel that is sure to have this package: the running interpreter's.
            kernel_name="python3",
            progress_bar=False,
        )
    except papermill.PapermillExecutionError as error:
        raise StudyError(
            f"a cell failed: {error.ename}: {error.evalue}",
            where=f"{notebook}, cell {error.exec_count}",
            cure=f"look at {executed}",
        ) from error
    # Without the scripts that nbconvert links to on the network: the page must work offline.
    exporter: Any = HTMLExporter(
        exclude_input_prompt=True,
        embed_images=True,
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        jquery_url="",
    )
    body, _ = exporter.from_notebook_node(nbformat.read(executed, as_version=4))
    html.write_text(body, encoding="utf-8")
