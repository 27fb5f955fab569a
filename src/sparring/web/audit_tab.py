"""The tab that runs a quick audit, with live progress."""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Iterator
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from sparring.audit.api import audit
from sparring.audit.cascade.progress import Step
from sparring.audit.report.document import Document
from sparring.audit.report.html.page import render
from sparring.audit.report.report import Report
from sparring.data import load_data
from sparring.durations import duration
from sparring.errors import SparringError
from sparring.threat import Threat
from sparring.web.one_picture import SAMPLES, load
from sparring.zoo import list_models

HEIGHT = 900
"pixels of a report on the page"


def audit_tab(runs: Path, trust: bool) -> None:
    """Fill the tab."""
    with gr.Row():
        model = gr.Dropdown(
            [one.name for one in list_models()],
            value="mnist-cnn-distilled",
            label="Model",
            allow_custom_value=True,
            elem_id="audit-model",
        )
        defense = gr.Textbox("", label="Defense (empty = none)")
        n = gr.Slider(10, 200, 50, step=10, label="Images", elem_id="audit-n")
        eps = gr.Slider(0.01, 0.5, 0.3, step=0.01, label="eps (Linf)", elem_id="audit-eps")
        claim = gr.Textbox("", label="Claim, such as fgsm=0.88")
    start = gr.Button("Audit", variant="primary", elem_id="audit-start")
    status = gr.Markdown(elem_id="audit-status")
    report = gr.HTML(elem_id="audit-report")

    def run(model: str, defense: str, n: int, eps: float, claim: str) -> Iterator[tuple[str, str]]:
        yield from audited(runs, trust, model, defense, int(n), eps, claim)

    start.click(run, [model, defense, n, eps, claim], [status, report])


def audited(
    runs: Path, trust: bool, model: str, defense: str, n: int, eps: float, claim: str
) -> Iterator[tuple[str, str]]:
    """Audit, and yield (status, report) until it is done. The run lies in `runs` afterwards.

    Raises:
        gr.Error: an input is wrong; one line says which.
    """
    steps: queue.Queue[Step | Exception | Report] = queue.Queue()

    def work() -> None:
        try:
            net = load(model.strip(), defense.strip(), trust)
            data = load_data(SAMPLES, n=n)
            claims = [one.strip() for one in claim.split(";") if one.strip()]
            found = audit(
                net, data, Threat("Linf", eps), suite="quick", claims=claims, progress=steps.put, folder=folder
            )
            found.save(folder)
            steps.put(found)
        except Exception as error:  # shown on the page, in the thread of the page
            steps.put(error)

    folder = runs / f"{_plain(model)}-{datetime.now():%Y%m%d-%H%M%S}"
    threading.Thread(target=work, daemon=True).start()
    yield "Looking at the clean images.", ""
    while True:
        step = steps.get()
        if isinstance(step, SparringError | ValueError):
            raise gr.Error(" ".join(str(step).split()), print_exception=False)
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Report):
            yield f"### {step.verdict}\n\nThe run lies in `{folder}`.", framed(step.to_dict())
            return
        yield (
            f"{step.number} of {step.stages}: {step.title}. {step.standing} of {step.n} images unbroken, "
            f"{duration(step.seconds)} elapsed.",
            "",
        )


def framed(document: Document) -> str:
    """A report in a frame of its own, where it can run no script."""
    return (
        f'<iframe sandbox title="report" style="width:100%;height:{HEIGHT}px;border:0" '
        f'srcdoc="{escape(render(document))}"></iframe>'
    )


def _plain(text: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]+", "-", text).strip("-")[:40] or "model"


def found_in(runs: Path) -> list[Any]:
    """The finished audits below `runs`, the newest first: their names."""
    pages = [path.parent for path in runs.glob("*/report.json")] if runs.is_dir() else []
    return [path.name for path in sorted(pages, key=lambda path: path.stat().st_mtime, reverse=True)]
