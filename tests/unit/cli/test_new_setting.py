"""A new setting of the audit is one line: then the help, the kept options, rerun and the printed command have it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CODE = """
import sys
from dataclasses import dataclass
import sparring.audit.inputs.settings as home

@dataclass(frozen=True, kw_only=True)
class More(home.AuditSettings):
    dummy: int = home.setting(7, "Do nothing at all.", int, least=1)

home.AuditSettings = More
from sparring.cli import main
sys.argv[0] = "sparring"
main()
"""

SUITE = "receipt: false\ntransfer: false\nsubset: 2\nstages:\n  - fgsm\n"


def sparring(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", CODE, *words], capture_output=True, text=True, cwd=folder)


@pytest.mark.long
def test_one_line_is_enough(tmp_path: Path) -> None:
    shown = sparring(tmp_path, "audit", "--help").stdout
    assert "--dummy" in shown
    assert "Do nothing at all." in shown
    (tmp_path / "tiny.yaml").write_text(SUITE)
    about = ("--model", "mnist-cnn", "--n", "4", "--eps", "0.1", "--suite", "tiny.yaml", "-q")
    assert sparring(tmp_path, "audit", *about, "--dummy", "0").returncode == 2
    done = sparring(tmp_path, "audit", *about, "--dummy", "5", "--out", "run")
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "run/options.json").read_text())["dummy"] == 5
    report = json.loads((tmp_path / "run/report.json").read_text())
    assert "--dummy 5" in report["command"]
    assert report["settings"]["options"]["dummy"] == 5
    again = sparring(tmp_path, "rerun", "run", "--out", "again", "-q")
    assert again.returncode == 0, again.stderr
    assert json.loads((tmp_path / "again/options.json").read_text())["dummy"] == 5
