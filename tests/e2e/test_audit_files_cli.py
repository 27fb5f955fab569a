"""`sparring audit` with requirements and exports, then `sparring report` and `sparring compare` on what it left."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as xml

import pytest

NET = """
import torch
from torch import nn

def build(scale=1.0):
    "Sixteen grey pixels, three classes, linear: each class is the sum of its own five pixels."
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k, 5 * k : 5 * k + 5] = 1.0
    return net

def skewed():
    "The same, but easily pushed towards class 0."
    net = build()
    with torch.no_grad():
        net[1].weight[0] += 0.35
    return net
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net in a file and images in a file."""
    import numpy as np

    home = tmp_path_factory.mktemp("files")
    (home / "net.py").write_text(NET)
    x, y = np.full((24, 4, 4, 1), 0.2, dtype=np.float32), np.arange(24) % 3
    for i, k in enumerate(y):
        x[i].reshape(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    np.savez(home / "images.npz", x=x, y=y)
    return home


def audit(home: Path, factory: str = "build", eps: object = 0.05) -> list[object]:
    data = f"npz:{home / 'images.npz'}"
    return ["audit", "--model", f"{home / 'net.py'}:{factory}", "--data", data, "--eps", eps, "--suite", "quick"]


@pytest.fixture(scope="module")
def done(home: Path) -> Path:
    """A finished run: of the plain net, in a folder."""
    out = home / "run"
    words = [*audit(home), "--clean-floor", 0, "--out", out, "--quiet"]
    code = "import sys; from sparring.cli import main; sys.argv = sys.argv[1:]; main()"
    subprocess.run([sys.executable, "-c", code, "sparring", *map(str, words)], check=True)
    return out


def test_requirements_and_every_file(run: Run, home: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / "new" / f"audit.{name}" for name in ("junit", "sarif", "markdown", "json")}
    flags = [word for name, path in files.items() for word in (f"--{name}", path)]
    code, stdout, stderr = run(
        *audit(home), *flags, "--hf", tmp_path / "hub", "--require", "robust@0.05 >= 90%", "--require", "clean >= 60%"
    )
    assert code == 1, stderr
    robust, clean = json.loads(files["json"].read_text())["requirements"]
    assert (robust["status"], clean["status"]) == ("failed", "met")
    assert robust["line"] in stdout.splitlines()
    assert "--require 'robust@0.05 >= 90%'" in json.loads(files["json"].read_text())["command"]
    root = xml.parse(files["junit"]).getroot()
    assert root.get("failures") == "1"
    log = json.loads(files["sarif"].read_text())
    places = log["runs"][0]["results"][0]["locations"]
    assert places[0]["physicalLocation"]["artifactLocation"]["uri"].endswith("/net.py")
    assert "❌ failed" in files["markdown"].read_text()
    assert (tmp_path / "hub" / ".eval_results" / "sparring.yaml").exists()
    assert (tmp_path / "hub" / "model-index.yaml").exists()


def test_met_is_exit_code_0(run: Run, home: Path) -> None:
    code, stdout, _ = run(*audit(home, eps=0.001), "--require", "robust >= 50%", "--fail-under", "0.9")
    assert code == 0
    assert "required robust@0.001 >= 50 %" in stdout
    assert "of these images" in stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--require", "robust@0.2 >= 5%"], "about eps 0.2, the audit about eps 0.05"),
        (["--require", "robust > 5%"], "robust@EPS >= SHARE"),
        (["--junit", "/"], "is a folder"),
        (["--hf", "/dev/null/x"], "cannot write /dev/null/x"),
    ],
)
def test_refusals_before_any_work(run: Run, home: Path, words: list[str], message: str) -> None:
    code, stdout, stderr = run(*audit(home, "nosuch"), *words)
    assert (code, stdout) == (2, "")
    assert message in stderr
    assert len(stderr.strip().splitlines()) == 1


def test_report_makes_the_same_files_again(run: Run, done: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(done, copy)
    for path in copy.rglob("*"):
        if path.is_file() and path.name != "report.json":
            path.unlink()
    code, stdout, _ = run("report", copy)
    assert code == 0
    assert json.loads((done / "report.json").read_text())["verdict"] in " ".join(stdout.split())
    for path in copy.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (done / path.relative_to(copy)).read_bytes(), path


def test_report_into_single_files_and_with_other_requirements(run: Run, done: Path, tmp_path: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in done.rglob("*")}
    code, stdout, _ = run(
        "report", done / "report.json", "--html", tmp_path / "a.html", "--junit", tmp_path / "a.xml",
        "--require", "clean >= 5%", "--quiet",
    )  # fmt: skip
    assert (code, stdout) == (0, "")
    assert "Requirements" in (tmp_path / "a.html").read_text()
    assert "clean &gt;= 5 %" in (tmp_path / "a.xml").read_text()
    assert {path: path.stat().st_mtime_ns for path in done.rglob("*")} == before
    assert run("report", done, "--require", "robust >= 99%", "--json", tmp_path / "b.json", "--quiet")[0] == 1
    assert run("report", done, "--require", "robust@0.7 >= 9%")[0] == 2
    assert run("report", done, "--out", tmp_path / "out", "--quiet")[0] == 0
    assert (tmp_path / "out" / "report.json").read_bytes() == (done / "report.json").read_bytes()


def test_compare(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run(*audit(home, "skewed"), "--clean-floor", 0, "--out", other, "--quiet")[0] == 0
    code, stdout, stderr = run(
        "compare", done, other / "report.json", "--fail-on-regression", "--json", tmp_path / "c.json",
        "--markdown", tmp_path / "c.md",
    )  # fmt: skip
    assert code == 1, stderr
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["regression"] is True
    lost = found["robust"]["regressed"]
    assert len(lost) >= 6
    assert f"regressed under attack, image numbers: {', '.join(map(str, lost))}" in stdout
    assert found["verdict"] in stdout
    assert found["verdict"] in (tmp_path / "c.md").read_text()
    assert run("compare", other, done, "--fail-on-regression", "--quiet")[0] == 0
    assert run("compare", done, done, "--fail-on-regression", "--quiet")[0] == 0


def test_compare_refuses_other_conditions(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run(*audit(home, eps=0.01), "--clean-floor", 0, "--out", other, "--quiet")[0] == 0
    code, stdout, stderr = run("compare", done, other)
    assert (code, stdout) == (2, "")
    assert "different threats: Linf 0.05, box 0 to 1 and Linf 0.01" in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert run("compare", done, tmp_path)[0] == 2
