"""Notebooks: executed one after the other in one kernel, exported to HTML."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from compute_optimal.errors import StudyError
from compute_optimal.present.pages.page import without_policy

CELL_SECONDS = 600
"""Seconds that one cell may take."""


def execute(
    notebooks: Sequence[Path],
    database: Path,
    claims: Path,
    figures: Sequence[Path],
    outputs: Sequence[Path],
) -> None:
    """The rule ``run_notebooks``: ``run_notebooks`` with the database, the page of verdicts and the
    folder of the drawn figures, into the folder of ``outputs``."""
    parameters = {"database": database, "claims": claims, "figures": figures[0].parent}
    run_notebooks(notebooks, parameters, outputs[0].parent)


def run_notebooks(notebooks: Sequence[Path], parameters: Mapping[str, Path], folder: Path) -> None:
    """Execute ``notebooks`` with their parameters set, and write each as .ipynb and .html.

    A notebook is given those of ``parameters`` that it names in its cell tagged "parameters", as
    paths from ``folder``, in which it runs: an executed one still works where the results have been
    moved. It is called by its first heading and ends in links to the ones before and after.
    Starting a kernel and importing the charts takes longer than most notebooks do,
    so they share one; names are cleared in between. Raises ``StudyError`` with the cell's own error
    where a cell fails, takes too long or ends the kernel, and then keeps the half-executed notebook
    for a look; and where one is no notebook.
    """
    import nbformat
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    from nbconvert import HTMLExporter

    # Without the scripts that nbconvert links to on the network: the page must work offline.
    exporter: Any = HTMLExporter(
        exclude_input_prompt=True,
        exclude_output_prompt=True,
        embed_images=True,
        require_js_url="",
        mathjax_url="",
        mermaid_js_url="",
        jquery_url="",
    )
    folder.mkdir(parents=True, exist_ok=True)
    clear = nbformat.v4.new_code_cell("%reset -f")
    # The one kernel that is sure to have this package: the running interpreter's.
    # Only its errors: every start warns that its connections on this machine are not encrypted.
    client = NotebookClient(
        clear,
        kernel_name="python3",
        timeout=CELL_SECONDS,
        extra_arguments=["--log-level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    with client.setup_kernel():
        contents = [_read(path) for path in notebooks]
        titles = [_title(content, path) for content, path in zip(contents, notebooks, strict=True)]
        for i, path in enumerate(notebooks):
            notebook = _with_parameters(contents[i], parameters, folder)
            notebook.metadata["title"] = titles[i]
            links = [
                f"{word}: [{titles[j]}]({notebooks[j].name})"
                for word, j in (("Previous", i - 1), ("Next", i + 1))
                if 0 <= j < len(notebooks)
            ]
            if links:
                notebook.cells.append(nbformat.v4.new_markdown_cell(" | ".join(links)))
            client.nb = nbformat.v4.new_notebook(cells=[clear])
            client.reset_execution_trackers()
            client.execute_cell(clear, 0)
            client.nb = notebook
            executed = folder / path.name
            # Under no name of an output: Snakemake removes the outputs of a rule that fails.
            half = folder / f"{path.stem}.failed.ipynb"
            half.unlink(missing_ok=True)
            try:
                for index, cell in enumerate(notebook.cells):
                    client.execute_cell(cell, index)
            except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
                nbformat.write(notebook, half)
                raise StudyError(
                    f"a cell failed: {_reason(error)}",
                    where=f"{path}, cell {index + 1}",
                    cure=f"look at {half}",
                ) from error
            nbformat.write(notebook, executed)
            if links:
                last = notebook.cells[-1]
                last.source = last.source.replace(".ipynb)", ".html)")
            page, _ = exporter.from_notebook_node(notebook)
            executed.with_suffix(".html").write_text(without_policy(page), encoding="utf-8")


def _reason(error: Exception) -> str:
    """The cell's own error, or why it has none."""
    if name := getattr(error, "ename", None):
        return f"{name}: {getattr(error, 'evalue', '')}"
    return (str(error) or type(error).__name__).splitlines()[0]


def _read(path: Path) -> Any:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    # A notebook of another shape ends in whatever its reader stumbles over.
    except (ValueError, TypeError, AttributeError, LookupError, nbformat.ValidationError):
        raise StudyError(
            "this is no notebook that can be read",
            where=str(path),
            cure="mend it, or put the notebook back that came with this repository",
        ) from None
    return notebook


def _title(notebook: Any, path: Path) -> str:
    """Its first heading, or the file's name where there is none."""
    lines = (line for cell in notebook.cells for line in cell.source.splitlines())
    return next((line[2:].strip() for line in lines if line.startswith("# ")), path.stem)


def _with_parameters(notebook: Any, parameters: Mapping[str, Path], folder: Path) -> Any:
    """The notebook with a cell below the one tagged "parameters" that sets what that one names."""
    import nbformat

    cells = list(notebook.cells)
    for index, cell in enumerate(cells):
        if "parameters" in cell.metadata.get("tags", ()):
            lines = [
                f"{name} = {os.path.relpath(path.resolve(), folder.resolve())!r}"
                for name, path in parameters.items()
                if f"{name} =" in cell.source
            ]
            cells.insert(index + 1, nbformat.v4.new_code_cell("\n".join(lines)))
            break
    return nbformat.v4.new_notebook(cells=cells, metadata=notebook.metadata)
