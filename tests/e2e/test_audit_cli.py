"""`sparring audit` as people and programs meet it: tables, files, exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparring.cli import main

NET = """
import torch
from torch import nn

def build():
    "A linear net on digits: the mean digit of each class, by least squares."
    import sparring as sp
    x, y = sp.load_data("mnist5k", "train", n=1500).tensors()
    flat = torch.cat([x.flatten(1), torch.ones(len(x), 1)], 1)
    hot = torch.nn.functional.one_hot(y, 10).float()
    gram = flat.T @ flat + 30 * torch.eye(785)
    weight = torch.linalg.solve(gram, flat.T @ hot)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():
        net[1].weight.copy_(weight[:784].T)
        net[1].bias.copy_(weight[784])
    return net

def constant():
    class Constant(nn.Module):
        def forward(self, x):
            return torch.tensor([[0.0, 3.0, 0, 0, 0, 0, 0, 0, 0, 0]]).expand(len(x), 10) + 0 * x.flatten(1).sum(1, True)
    return Constant()
"""

SMALL = """receipt: false
stages:
  - fgsm
  - pgd:steps=10,loss=margin
  - attack: noise
    family: noise
  - square:queries=50
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("audit")
    (folder / "net.py").write_text(NET)
    (folder / "small.yaml").write_text(SMALL)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparring", "audit", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        out, err = capsys.readouterr()
        return int(left.value.code or 0), out, err

    return call


def options(folder: Path, factory: str = "build", suite: str = "") -> list[object]:
    return ["--model", f"{folder / 'net.py'}:{factory}", "--n", 30, "--suite", suite or folder / "small.yaml"]


def test_the_main_job(run: Run, folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    code, stdout, stderr = run(
        *options(folder, suite="quick"),
        "--eps",
        "8/255",
        "--claim",
        "fgsm=0.5",
        "--claim",
        "clean=80%",
        "--clean-floor",
        0,
        "--out",
        out,
    )
    assert code == 0, stderr
    assert {path.name for path in out.iterdir()} >= {"report.html", "report.json", "report.md", "samples.csv"}
    report = json.loads((out / "report.json").read_text())
    assert report["threat"]["eps"] == 8 / 255
    assert (report["n"], report["suite"], report["seed"]) == (30, "quick", 0)
    assert 0 <= report["robust_accuracy"] < report["clean_accuracy"]
    assert len(report["claims"]) == 2
    assert report["settings"]["options"]["data"] == "mnist5k"
    assert "--eps 8/255" in report["command"]
    assert "--clean-floor 0" in report["command"]
    assert "--seed" not in report["command"]
    assert "--claim fgsm=0.5 --claim clean=80%" in report["command"]
    flat = " ".join(stdout.split())
    for words in (
        "APGD-CE",
        "images unbroken broke after",
        "clean accuracy",
        "95 % interval",
        report["verdict"],
    ):
        assert words in flat
    last = stdout.strip().splitlines()[-1]
    assert last == f"report: {out / 'report.html'}"
    assert "FGSM: " in stderr
    assert "elapsed" in stderr


def test_the_same_seed_gives_the_same_json(run: Run, folder: Path, tmp_path: Path) -> None:
    found = []
    for batch_size in (30, 30):
        file = tmp_path / "report.json"
        arguments = [*options(folder), "--n", 5, "--eps", 0.3, "--json", file, "--batch-size", batch_size]
        code, stdout, stderr = run(*arguments, "--quiet")
        assert (code, stdout, stderr) == (0, "", "")
        plain = json.loads(file.read_text())
        found.append({name: plain[name] for name in ("verdict", "samples", "doubts", "passes", "curve")})
    assert found[0] == found[1]


@pytest.mark.parametrize(("least", "code"), [("1", 0), ("0.9", 1), ("90%", 1), ("0", 0)])
def test_fail_under(run: Run, folder: Path, least: str, code: int) -> None:
    eps = "0.0001" if least == "1" else "0.3"
    least = "0.5" if least == "1" else least
    seen, stdout, _ = run(*options(folder), "--n", 5, "--eps", eps, "--fail-under", least)
    assert seen == code
    assert ("not met" in stdout) == (code == 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--eps", "0.3", "--suite", "huge"], "there are quick, standard, full"),
        (["--eps", "much"], "not a number"),
        ([], "--eps 0.3"),
        (["--eps", "0.3", "--norm", "L7"], "norm"),
        (["--eps", "0.3", "--claim", "nonsense"], "claim"),
        (["--eps", "0.3", "--fail-under", "lots"], "--fail-under"),
        (["--eps", "0.3", "--data", "folder:/nowhere/at/all"], "nowhere"),
        (["--eps", "0.3", "--model", "nosuch"], "nosuch"),
        (["--eps", "0"], "radius above 0"),
    ],
)
def test_bad_input_is_one_line_and_code_2(run: Run, folder: Path, words: list[str], message: str) -> None:
    code, stdout, stderr = run(*options(folder), *words)
    assert code == 2
    assert stdout == ""
    assert message in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert stderr.startswith("sparring: ")


def test_a_model_at_chance_is_refused(run: Run, folder: Path) -> None:
    code, _, stderr = run(*options(folder, "constant"), "--eps", 0.3)
    assert code == 2
    assert "clean accuracy is 10.0 % (3 of 30), chance is 10.0 %" in stderr


def test_a_folder_of_others_is_not_written_to(run: Run, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("mine")
    code, _, stderr = run(*options(folder), "--eps", 0.3, "--out", tmp_path)
    assert code == 2
    assert "--force" in stderr


def test_help_shows_an_example(run: Run) -> None:
    code, stdout, _ = run("--help")
    assert code == 0
    assert "sparring audit --model mnist-cnn" in stdout
    assert "--fail-under" in stdout
