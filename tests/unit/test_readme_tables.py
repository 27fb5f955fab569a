"""The tables in the README are those that the register and the cards give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sparring.attack import attacks
from sparring.cli.attack.attacks import COLUMNS, markdown_table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, turned to a README of its own."""
    spec = importlib.util.spec_from_file_location("readme_tables", ROOT / "scripts" / "readme_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "README", tmp_path / "README.md")
    return module


def test_the_readme_is_up_to_date(script: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name, table in script.tables().items():
        assert script.updated(text, name, table) == text, "run python scripts/readme_tables.py"


def test_the_script_writes_what_it_then_finds_up_to_date(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    marks = "# Top\n<!-- attacks:begin -->\n{}\n<!-- attacks:end -->\n"
    marks += "<!-- models:begin -->\n{}\n<!-- models:end -->\nrest\n"
    script.README.write_text(marks.format("old", "old"), encoding="utf-8")
    assert script.main(["--check"]) == 1
    assert "out of date" in capsys.readouterr().err
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0
    text = script.README.read_text(encoding="utf-8")
    assert text == marks.format(script.tables()["attacks"], script.tables()["models"])


@pytest.mark.parametrize("text", ["", "{B}", "{E}{B}", "{B}{E}{B}", "{B}{E}{E}", "{E}{B}{E}"])
def test_markers_that_are_missing_or_muddled_are_an_error(script: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        script.updated(text.replace("{B}", "<!-- a:begin -->").replace("{E}", "<!-- a:end -->"), "a", "table")


def test_a_line_an_attack_and_a_cell_a_column() -> None:
    lines = markdown_table(attacks()).splitlines()
    assert len(lines) == 2 + len(attacks())
    assert all(line.replace("\\|", "").count("|") == len(COLUMNS) + 1 for line in lines)
    assert [line.split("`")[1] for line in lines[2:]] == [info.name for info in attacks()]
    (pgd,) = (line for line in lines if "`pgd`" in line)
    assert "[arXiv:1706.06083](https://arxiv.org/abs/1706.06083)" in pgd
    assert "| L1, L2, Linf | white-box | targeted, untargeted | gradient |" in pgd
