"""Every Python block of README and docs runs; every command in them is one that the command line understands."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
import typer

from sparring.attack import REGISTRY
from sparring.audit.checks.registry import CHECKS
from sparring.cli import app

sys.path.insert(0, str(Path(__file__).parent))
from pages import HOME, PAGES, blocks, commands

sys.path.pop(0)

QUICK = ("README.md", "docs/how_to/own_attack.md", "docs/how_to/own_check.md")
"""Pages that take few seconds; the others run with the long tests."""


def name(page: Path) -> str:
    return page.relative_to(HOME).as_posix()


@pytest.fixture
def program() -> Iterator[ModuleType]:
    """The module that a page makes; what it enters into a register leaves it again."""
    module = sys.modules["page"] = ModuleType("page")
    yield module
    del sys.modules["page"]
    for name in [one for one, info in REGISTRY.items() if info.cls.__module__ == "page"]:
        del REGISTRY[name]
    for code in [one for one, check in CHECKS.items() if check.find.__module__ == "page"]:
        del CHECKS[code]


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


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_the_commands_of_a_page_exist(page: Path) -> None:
    """Each is parsed with all of its options; a `...` stands for what the page has said before."""
    root = typer.main.get_command(app)
    for line, words in commands(page):
        try:
            _parse(root, words)
        except Exception as error:
            pytest.fail(f"{name(page)}:{line}: sparring {' '.join(words)}: {error}")


def _parse(command: object, words: list[str]) -> None:
    """Parse a command as far as it is written out."""
    inner = command
    rest = [word for word in words if word != "..."]
    while hasattr(inner, "commands") and rest and not rest[0].startswith("-"):
        assert rest[0] in inner.commands, f"there is no command {rest[0]!r}"
        inner = inner.commands[rest.pop(0)]
    known = {option for one in inner.params for option in (*one.opts, *one.secondary_opts)} | {"--help", "--traceback"}
    for word in rest:
        if re.match(r"--?[a-zA-Z]", word):
            assert word.partition("=")[0] in known, f"there is no option {word}"


def test_a_wrong_option_is_found() -> None:
    root = typer.main.get_command(app)
    with pytest.raises(AssertionError, match="no option --epsilon"):
        _parse(root, ["audit", "--model", "mnist-cnn", "--epsilon", "0.3"])
    with pytest.raises(AssertionError, match="no command 'adit'"):
        _parse(root, ["adit"])
