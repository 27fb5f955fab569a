"""Every form of a report, made from its plain values alone."""

from __future__ import annotations

from pathlib import Path

from sparring.audit.report.document import Document
from sparring.audit.report.formats import huggingface
from sparring.audit.report.formats.junit import junit
from sparring.audit.report.formats.sarif import sarif
from sparring.audit.report.formats.tables import csv_text, markdown
from sparring.audit.report.html.page import render
from sparring.storage import write

FORMS = {
    "report.html": render,
    "report.md": markdown,
    "samples.csv": csv_text,
    "report.junit.xml": junit,
    "report.sarif": sarif,
}
"file -> what makes its text"


def texts(document: Document) -> dict[str, str]:
    """All forms but report.json itself: path -> text."""
    hub = {f"huggingface/{name}": text for name, text in huggingface.files(document).items()}
    return {**{name: make(document) for name, make in FORMS.items()}, **hub}


def save(document: Document, folder: str | Path) -> dict[str, Path]:
    """Write all forms but report.json itself into `folder`: name -> path."""
    return {name: write(Path(folder) / name, text) for name, text in texts(document).items()}
