"""A newcomer copies the attack of the how-to page into one new file; everything else finds it.

The exam, the command line, the table of docs and the form of the web page are asked in a copy of this repository.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEPT = ("src", "scripts", "docs", "tests", "README.md", "pyproject.toml")
FORM = """
from sparring.attacks import find
from sparring.web.forms import fields_of, spec_of
info = find("halving")
print([(field.name, field.kind, field.default, field.low) for field in fields_of(info)], spec_of(info, [5]))
"""

pytestmark = pytest.mark.long


def template() -> str:
    """The attack on the page, as a reader copies it."""
    text = (ROOT / "docs/how_to/own_attack.md").read_text(encoding="utf-8")
    found = re.search(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


@pytest.fixture(scope="module")
def do(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """Run Python in a copy of the repository that has one more file; gives what it printed."""
    copy = tmp_path_factory.mktemp("newcomer")
    for name in KEPT:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
        else:
            shutil.copy(ROOT / name, copy / name)
    (copy / "src/sparring/attacks/gradient/halving.py").write_text(template(), encoding="utf-8")

    def call(*words: str) -> str:
        environment = {**os.environ, "PYTHONPATH": str(copy / "src"), "COLUMNS": "100"}
        done = subprocess.run(
            [sys.executable, *words], cwd=copy, env=environment, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout

    return call


def test_the_exam_asks_it(do: Callable[..., str]) -> None:
    out = do("-m", "pytest", "tests/exam", "-k", "halving", "-m", "exam or not exam", "-p", "no:cacheprovider")
    assert [int(n) > 20 for n in re.findall(r"(\d+) passed", out)] == [True], out


def test_the_command_line_lists_it_and_runs_it(do: Callable[..., str]) -> None:
    assert "halving" in do("-m", "sparring", "attacks")
    assert "steps" in do("-m", "sparring", "attacks", "halving")
    out = do("-m", "sparring", "attack", "halving:steps=6", "--model", "mnist-cnn", "--n", "8", "--eps", "0.3")
    assert "halving" in out.lower()


def test_the_table_of_docs_shows_it(do: Callable[..., str]) -> None:
    do("scripts/generated_tables.py")
    assert "Halving steps" in do("-c", "print(open('docs/attacks.md').read())")


def test_the_web_form_shows_it(do: Callable[..., str]) -> None:
    assert do("-c", FORM).strip() == "[('steps', 'integer', 12, 0)] halving:steps=5"
