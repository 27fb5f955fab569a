"""Every form of a report, made from its plain values alone."""

from __future__ import annotations

from pathlib import Path

from sparring.audit import huggingface
from sparring.audit.document import Document, write
from sparring.audit.html import render
from sparring.audit.junit import junit
from sparring.audit.sarif import sarif
from sparring.audit.tables import csv_text, markdown

FORMS = {
    "report.html": render,
    "report.md": markdown,
    "samples.csv": csv_text,
    "report.junit.xml": junit,
    "report.sarif": sarif,
}
"file -> what makes its text"


def save(document: Document, folder: str | Path) -> dict[str, Path]:
    """Write all forms but report.json itself into `folder`: name -> path."""
    folder = Path(folder)
    saved = {name: write(folder / name, make(document)) for name, make in FORMS.items()}
    for path in huggingface.write(document, folder / "huggingface"):
        saved[path.relative_to(folder).as_posix()] = path
    return saved
