"""Public names are said once, in the stub; the version is said once, and the changes begin with it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

import sparring
from sparring._lazy import homes_in, load
from sparring._version import __version__


def stub(folder: Path, text: str) -> str:
    (folder / "__init__.pyi").write_text(text)
    return str(folder / "__init__.py")


def test_the_stub_says_where_names_live(tmp_path: Path) -> None:
    homes = homes_in(stub(tmp_path, "# a comment\nfrom math import pi as pi\nfrom os.path import join as join\n"))
    assert homes == {"pi": "math", "join": "os.path"}
    assert load("some", homes, "pi") == import_module("math").pi
    with pytest.raises(AttributeError, match="some has no 'tau'"):
        load("some", homes, "tau")


@pytest.mark.parametrize(
    "text",
    ["import math\n", "from . import x as x\n", "from math import pi\n", "from math import pi as tau\n", "pi: float\n"],
)
def test_a_stub_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SyntaxError, match="line 1: expected"):
        homes_in(stub(tmp_path, text))


def test_a_name_is_said_once(tmp_path: Path) -> None:
    with pytest.raises(SyntaxError, match="line 2: expected 'pi as pi', once"):
        homes_in(stub(tmp_path, "from math import pi as pi\nfrom cmath import pi as pi\n"))


def test_every_public_name_is_the_one_of_its_module() -> None:
    homes = homes_in(sparring.__file__)
    assert set(sparring.__all__) == set(homes)
    assert set(homes) <= set(dir(sparring))
    for name, module in homes.items():
        assert getattr(import_module(module), name) is not None, name


def test_the_changes_begin_with_this_version() -> None:
    assert sparring.__version__ == __version__
    changes = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    assert next(line for line in changes.splitlines() if line.startswith("## ")) == f"## {__version__}"
