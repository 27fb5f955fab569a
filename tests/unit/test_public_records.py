"""The stored adversarial examples of both public records fool their nets, and a forged file is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
PUBLISHED = Path(os.environ.get("SPARRING_DATA", "")) / "published" / "mnist-fast-2020.safetensors"
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PUBLISHED.exists(), reason="SPARRING_DATA does not name a folder with published nets"),
]


def verified(script: Path) -> str:
    """What `--verify` prints."""
    command = [sys.executable, str(script), "--verify"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "benchmarks")])}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def test_every_stored_point_fools_its_net() -> None:
    shown = verified(ROOT / "benchmarks" / "public_records.py")
    assert "WRONG" not in shown
    assert "smallcnn-trades" in shown
    assert "mnist-fast-2020" in shown


def test_a_forged_file_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "public_records.py"
    script.write_text((ROOT / "benchmarks" / "public_records.py").read_text())
    (tmp_path / "records").mkdir()
    with np.load(ROOT / "benchmarks" / "records" / "smallcnn-trades.npz") as saved:
        kept = dict(saved)
    kept["up"], kept["down"] = kept["down"], kept["up"]
    np.savez_compressed(tmp_path / "records" / "smallcnn-trades.npz", **kept)
    assert "WRONG" in verified(script)
