"""The tabs that show finished audits, one or two beside each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr

from sparring.audit.report.compare import compare, markdown
from sparring.audit.report.document import Document, read
from sparring.errors import SparringError
from sparring.web.audit_tab import found_in, framed


def reports_tab(runs: Path) -> None:
    """Fill the tab where a report is read."""
    chosen, _ = _chooser(runs, "Report", "report-choice")
    page = gr.HTML(elem_id="report-page")
    chosen.change(lambda name: framed(_read(runs, name)) if name else "", chosen, page)


def compare_tab(runs: Path) -> None:
    """Fill the tab where two audits of the same images are compared."""
    with gr.Row():
        first, again = _chooser(runs, "A", "compare-a")
        second = gr.Dropdown(found_in(runs), value=None, label="B", elem_id="compare-b")
        again.click(lambda: gr.update(choices=found_in(runs)), None, second)
    start = gr.Button("Compare", variant="primary", elem_id="compare-start")
    text = gr.Markdown(elem_id="compare-text")

    def run(a: str | None, b: str | None) -> str:
        if not a or not b:
            raise gr.Error("Choose two reports.", print_exception=False)
        try:
            return markdown(compare(_read(runs, a), _read(runs, b)))
        except SparringError as error:
            raise gr.Error(" ".join(str(error).split()), print_exception=False) from None

    start.click(run, [first, second], text)


def _chooser(runs: Path, label: str, element: str) -> tuple[Any, Any]:
    """A list of the finished audits, and a button that looks for new ones."""
    chosen = gr.Dropdown(found_in(runs), value=None, label=label, elem_id=element)
    again = gr.Button("Look for new reports", size="sm", elem_id=f"{element}-again")
    again.click(lambda: gr.update(choices=found_in(runs)), None, chosen)
    return chosen, again


def _read(runs: Path, name: str) -> Document:
    """The report of that name; only a name from the list is read."""
    if name not in found_in(runs):
        raise gr.Error(f"There is no report {name}.", print_exception=False)
    try:
        return read(runs / name)
    except SparringError as error:
        raise gr.Error(" ".join(str(error).split()), print_exception=False) from None
