"""Two projects whose files import helpers of the same name: each gets its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import sparring as sp


def _project(folder: Path, bias: int, package: bool) -> str:
    folder.mkdir()
    helper = folder / "my_helper" / "__init__.py" if package else folder / "my_helper.py"
    helper.parent.mkdir(exist_ok=True)
    helper.write_text(f"import torch\nBIAS = torch.eye(3)[{bias}]\n")
    net = folder / "net.py"
    net.write_text("from my_helper import BIAS\ndef build():\n    return lambda x: x.flatten(1)[:, :3] * 0 + BIAS\n")
    return f"{net}:build"


@pytest.mark.parametrize("package", [False, True])
def test_each_file_gets_the_helper_beside_it(tmp_path: Path, package: bool) -> None:
    x = torch.zeros(1, 1, 2, 2)
    specs = [_project(tmp_path / f"p{bias}", bias, package) for bias in (0, 1, 2)]
    try:
        models = [sp.load_model(spec) for spec in specs]
        again = sp.load_model(specs[0])
    finally:
        sys.modules.pop("my_helper", None)
    assert [int(model.labels(x)) for model in (*models, again)] == [0, 1, 2, 0]


def test_the_standard_library_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit")
    (tmp_path / "torch.py").write_text("raise SystemExit")
    (tmp_path / "net.py").write_text("def build():\n    return lambda x: x.flatten(1)\n")
    before = sys.modules["torch"], sys.modules["json"]
    sp.load_model(f"{tmp_path / 'net.py'}:build")
    assert (sys.modules["torch"], sys.modules["json"]) == before
