"""What can be done with a run once it is there: merged from shares, proved, tried on another model, done again."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.audit.report.document import json_text, seal

NET = """
import torch
from torch import nn

def build(skew=0.0):
    "Sixteen grey pixels, three classes, linear: each class is the sum of its own five pixels."
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k, 5 * k : 5 * k + 5] = 1.0
        net[1].weight[0] += skew
    return net

def skewed():
    "The same, but easily pushed towards class 0."
    return build(0.35)
"""
SUITE = """
name: tiny
subset: 4
stages:
  - fgsm
  - square:queries=10
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net, images and a suite in files."""
    home = tmp_path_factory.mktemp("runs")
    (home / "net.py").write_text(NET)
    (home / "suite.yaml").write_text(SUITE)
    x, y = np.full((18, 4, 4, 1), 0.2, dtype=np.float32), np.arange(18) % 3
    for i, k in enumerate(y):
        x[i].reshape(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    np.savez(home / "images.npz", x=x, y=y)
    return home


def audit(home: Path, *more: object, factory: str = "build") -> list[object]:
    data, suite, eps = f"npz:{home / 'images.npz'}", home / "suite.yaml", 0.05
    fixed: list[object] = ["audit", "--model", f"{home / 'net.py'}:{factory}", "--data", data, "--eps", eps]
    return [*fixed, "--suite", suite, "--shard-size", 5, "--clean-floor", 0, *more]


@pytest.fixture
def done(run: Run, home: Path) -> Path:
    """A finished run of the plain net."""
    out = home / "done"
    if not out.exists():
        code, _, stderr = run(*audit(home, "--out", out, "--quiet"))
        assert code == 0, stderr
    return out


def plain(folder: Path) -> dict[str, Any]:
    """The report less what tells the time."""
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    for name in ("seconds", "created", "seal", "shards"):
        document.pop(name, None)
    for one in document["attacks"]:
        del one["seconds"]
    return document


def test_shares_are_merged(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    parts = [tmp_path / f"part{i}" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        code, stdout, stderr = run(*audit(home, "--out", part, "--shard", f"{i}/2"))
        assert (code, stdout) == (0, "")
        assert f"this share is done; when all are: sparring merge {part}" in stderr
        assert not (part / "report.json").exists()
    code, _, stderr = run("merge", parts[0], "--trust")
    assert code == 2
    assert "2 of 4 shards are missing (1, 3)" in stderr
    code, stdout, stderr = run("merge", *parts, "--trust")
    assert code == 0, stderr
    assert stdout.splitlines()[-1] == f"report: {parts[0] / 'report.html'}"
    assert {**plain(parts[0]), "settings": 0} == {**plain(done), "settings": 0}
    assert run("verify", parts[0], "--trust", "--quiet")[0] == 0


def test_shares_of_different_runs_are_not_merged(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    assert run(*audit(home, "--out", other, "--shard", "1/2", "--seed", 3, "--quiet"))[0] == 0
    code, _, stderr = run("merge", done, other, "--trust")
    assert code == 2
    assert "hold different runs: seed differs (3 and 0)" in stderr


def test_verify_says_what_holds(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    code, stdout, _ = run("verify", done, "--trust", "--json", tmp_path / "proof.json")
    assert code == 0
    assert stdout.splitlines()[-1] == "Everything holds."
    verdict = json.loads((done / "report.json").read_text())["verdict"]
    assert verdict in " ".join(stdout.split())
    proof = json.loads((tmp_path / "proof.json").read_text())
    assert proof["holds"]
    assert proof["radii"][0]["proved"] == proof["radii"][0]["claimed"] > 0
    code, stdout, _ = run("verify", done, "--model", f"{home / 'net.py'}:skewed")
    assert code == 1
    assert "model: NOT the one that was audited" in stdout
    report = json.loads((done / "report.json").read_text())
    dressed = tmp_path / "dressed"
    shutil.copytree(done, dressed)
    forged = {**report, "standing": report["standing"] + 2}
    (dressed / "report.json").write_text(json_text({**forged, "seal": seal(forged)}))
    code, stdout, _ = run("verify", dressed, "--trust")
    assert code == 1
    assert f"report.json says standing = {report['standing'] + 2}; the shards say {report['standing']}" in stdout


def test_a_forged_command_is_found(run: Run, done: Path, tmp_path: Path) -> None:
    """Signed again, and with pages made from it: only the options of the run say which command it was."""
    forged = tmp_path / "forged"
    shutil.copytree(done, forged)
    report = json.loads((forged / "report.json").read_text())
    report["command"] = report["command"].replace("--eps 0.05", "--eps 0.5")
    report["seal"] = seal(report)
    (forged / "report.json").write_text(json_text(report))
    assert run("report", forged, "--quiet")[0] == 0
    code, stdout, _ = run("verify", forged, "--trust")
    assert code == 1
    assert "the command in report.json is not the one that options.json gives" in stdout


def test_code_that_a_run_names_is_not_run_unasked(run: Run, done: Path) -> None:
    code, _, stderr = run("verify", done)
    assert code == 2
    assert "which is code or a web service: to use it, name it (--model" in stderr


def test_another_model_is_attacked_with_what_is_stored(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    out = tmp_path / "new"
    code, stdout, stderr = run(*audit(home, "--out", out, "--replay", done, factory="skewed"))
    assert code == 0, stderr
    first = json.loads((out / "report.json").read_text())["attacks"][0]
    assert (first["attack"], first["knowledge"]) == ("Replay of done", "transfer")
    assert first["tried"] > 0
    assert "Replay of done" in stdout
    assert f"--replay {done}" in json.loads((out / "report.json").read_text())["command"]


def test_a_rerun_is_the_same_audit_and_is_compared(run: Run, home: Path, done: Path, tmp_path: Path) -> None:
    code, stdout, stderr = run("rerun", done, "--trust", "--out", tmp_path / "again")
    assert code == 0, stderr
    assert {**plain(tmp_path / "again"), "command": 0, "settings": 0} == {**plain(done), "command": 0, "settings": 0}
    assert "the same 18 images" in stdout
    code, stdout, _ = run("rerun", done, "--model", f"{home / 'net.py'}:skewed", "--fail-on-regression", "--replay")
    assert code == 1
    assert "regressed" in stdout
    assert "Replay of done" in stdout


@pytest.mark.long
def test_a_rerun_by_two_workers_is_the_same(run: Run, done: Path, tmp_path: Path) -> None:
    """The other worker is told the audit's options, not the words of the rerun."""
    code, _, stderr = run("rerun", done, "--trust", "--out", tmp_path / "two", "--workers", 2)
    assert code == 0, stderr
    assert "stopped early" not in stderr
    assert {**plain(tmp_path / "two"), "command": 0, "settings": 0} == {**plain(done), "command": 0, "settings": 0}
    code, _, stderr = run("rerun", done, "--trust", "--workers", 2)
    assert (code, stderr.count("\n")) == (2, 1)
    assert "--workers needs the folder" in stderr


def test_an_audit_with_a_proof_has_both_sides_and_verifies(run: Run, home: Path, tmp_path: Path) -> None:
    """CROWN is exact for a linear net: every image is broken or proved."""
    out = tmp_path / "out"
    code, stdout, stderr = run(*audit(home, "--certify", "crown", "--out", out))
    assert code == 0, stderr
    found = plain(out)["bracket"]
    assert found["closed"]
    assert found["lower"] == found["upper"] == plain(out)["robust_accuracy"]
    assert "Every image is settled: crown proves" in " ".join(stdout.split())
    assert "--certify crown" in plain(out)["command"]
    assert run("verify", out, "--trust")[0] == 0
    code, _, stderr = run(*audit(home, "--certify", "smoothing", "--out", tmp_path / "other"))
    assert (code, stderr.count("\n")) == (2, 1)


def test_certified_radii_from_a_file(run: Run, home: Path, tmp_path: Path) -> None:
    """Modest ones are a lower bound of 0 here; that nothing at all breaks any image is refuted."""
    radii, out = tmp_path / "radii.txt", tmp_path / "out"
    radii.write_text("0.001\n" * 8 + "0\n" * 10)
    code, stdout, stderr = run(*audit(home, "--certified", radii, "--out", out))
    assert code == 0, stderr
    assert re.search(r"certified accuracy, a lower bound +0\.0% +0 of 18", stdout)
    assert "certificate-broken" not in stdout
    radii.write_text("1.0\n" * 18)
    code, stdout, _ = run("rerun", out, "--trust", "--out", tmp_path / "again")
    assert code == 0
    (doubt,) = [one for one in plain(tmp_path / "again")["doubts"] if one["code"] == "certificate-broken"]
    assert "of 18 certified images are broken inside their radius" in doubt["message"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["verify", "{none}"], "holds no run of sparring audit"),
        (["merge", "{none}"], "holds no run of sparring audit"),
        (["rerun", "{none}"], "holds no report.json"),
        (["audit", "--model", "mnist-cnn", "--eps", "0.1", "--replay", "{none}"], "holds no run"),
        (["audit", "--model", "mnist-cnn", "--eps", "0.1", "--out", "{none}", "--shard", "3/2"], "write i/n"),
        (["audit", "--model", "mnist-cnn", "--eps", "0.1", "--certified", "{none}/radii.npy"], "no certified radii"),
    ],
)
def test_what_is_no_run(run: Run, tmp_path: Path, words: list[str], message: str) -> None:
    code, _, stderr = run(*(word.format(none=tmp_path) for word in words))
    assert code == 2
    assert message in stderr
    assert len(stderr.strip().splitlines()) == 1
