"""The tables in the pages are those that the register and the cards give."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from sparring.attacks import attacks
from sparring.cli.attack.attacks import COLUMNS, markdown_table

ROOT = Path(__file__).parents[2]


@pytest.fixture
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated_tables", ROOT / "scripts" / "generated_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_up_to_date(script: ModuleType) -> None:
    for name in script.PAGES:
        text, wanted = script.page(ROOT, name)
        assert text == wanted, f"{name}: run python scripts/generated_tables.py"


def test_the_script_writes_what_it_then_finds_up_to_date(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, tables in script.PAGES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        marks = "".join(f"<!-- {marker}:begin -->\nold\n<!-- {marker}:end -->\n" for marker in tables)
        (tmp_path / name).write_text(f"# Top\n{marks}rest\n", encoding="utf-8")
    assert script.main(["--check"], tmp_path) == 1
    assert "out of date" in capsys.readouterr().err
    assert script.main([], tmp_path) == 0
    assert script.main(["--check"], tmp_path) == 0
    for name, tables in script.PAGES.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.startswith("# Top\n")
        assert text.endswith("rest\n")
        assert all(make() in text for make in tables.values())


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
