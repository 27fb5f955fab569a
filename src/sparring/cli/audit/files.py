"""The files that `sparring audit` and `sparring report` write beside, or instead of, a whole folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.options import HubOption, JsonOption, JunitOption, MarkdownOption, SarifOption

if TYPE_CHECKING:
    from sparring.audit.report.document import Document


@dataclass(frozen=True, kw_only=True)
class Files:
    """Where to write each form of a report; None = not at all. `hf` is a folder."""

    json: JsonOption = None
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write the page.", rich_help_panel="Output")
    ] = None
    markdown: MarkdownOption = None
    junit: JunitOption = None
    sarif: SarifOption = None
    hf: HubOption = None

    @property
    def any(self) -> bool:
        return any(path is not None for path in self.__dict__.values())

    def check(self) -> None:
        """Find out before the work whether all can be written.

        Raises:
            OutputPathError: one cannot.
        """
        from sparring.export.files import check_writable
        from sparring.storage import os_errors_as

        for name, path in self.__dict__.items():
            if path is not None and name != "hf":
                check_writable(path)
        if self.hf is not None:
            with os_errors_as(self.hf):
                self.hf.mkdir(parents=True, exist_ok=True)

    def write(self, document: Document) -> list[Path]:
        """Write them; the paths."""
        from sparring.audit.report.document import json_text
        from sparring.audit.report.formats import huggingface
        from sparring.audit.report.formats.junit import junit
        from sparring.audit.report.formats.sarif import sarif
        from sparring.audit.report.formats.tables import markdown
        from sparring.audit.report.html.page import render
        from sparring.storage import write

        forms: list[tuple[Path | None, Callable[[Document], str]]] = [
            (self.json, json_text),
            (self.html, render),
            (self.markdown, markdown),
            (self.junit, junit),
            (self.sarif, sarif),
        ]
        written = [write(path, make(document)) for path, make in forms if path is not None]
        return written + (huggingface.write(document, self.hf) if self.hf is not None else [])
