"""Every Python block of README and docs runs. Their commands and specs: see tests/unit/test_named_specs.py."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from pages import HOME, PAGES, blocks

sys.path.pop(0)

QUICK = ("docs/how_to/own_check.md",)
"""Pages that take a second; the others run with the long tests."""


def name(page: Path) -> str:
    return page.relative_to(HOME).as_posix()


RUNNABLE = [page for page in PAGES if any(one.kind == "python" and not one.reason for one in blocks(page))]


@pytest.mark.parametrize(
    "page", [pytest.param(one, id=name(one), marks=() if name(one) in QUICK else pytest.mark.long) for one in RUNNABLE]
)
def test_the_python_of_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: ModuleType
) -> None:
    """The blocks of a page one after the other, as one program."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    torch.manual_seed(0)
    for block in blocks(page):
        if block.kind != "python" or block.reason:
            continue
        if block.file:
            Path(block.file).write_text(block.text)
        exec(compile("\n" * block.line + block.text, str(page), "exec"), program.__dict__)
