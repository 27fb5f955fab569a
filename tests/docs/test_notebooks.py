"""The code of every notebook runs, from top to bottom."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import ModuleType

import matplotlib
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples" / "notebooks").glob("*.ipynb"))

pytestmark = pytest.mark.long


def code(notebook: Path) -> str:
    """Its cells of code, one after the other."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(notebook: Path, program: ModuleType) -> None:
    matplotlib.use("agg")
    text = code(notebook)
    if "hf:" in text:
        pytest.importorskip("transformers")
        folder = Path(os.environ.get("SPARRING_DATA", ""), "mobilenet_v2")
        if not folder.is_dir():
            pytest.skip("needs a net and pictures: set SPARRING_DATA")
        text = text.replace("google/mobilenet_v2_1.0_224", str(folder)).replace('"photos"', f'"{folder / "images"}"')
    exec(compile(text, notebook.name, "exec"), program.__dict__)


def test_the_three_notebooks_are_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["an_attack_in_20_lines", "hugging_face", "quickstart"]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept(notebook: Path) -> None:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")
