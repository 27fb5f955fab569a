"""`sparring attack` from end to end: a user's own net and images, every file it writes, every way to get it wrong."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparring.cli import main
from sparring.export import read_adversarials, verify_pngs
from sparring.zoo import load_model

NET = """
import torch
from torch import nn

class Bright(nn.Module):
    "Class 0, 1 or 2: the third of the picture that is brightest; at 0.25 a pixel it can be fooled."
    def forward(self, x):
        return torch.stack([part.flatten(1).mean(1) for part in x.split(4, 3)], 1) * 40

def build():
    return Bright()

def broken():
    return nn.Conv2d(3, 4, 3)

class Nan(nn.Module):
    def forward(self, x):
        return x.flatten(1)[:, :3] * float("nan")

def blind():
    return nn.Sequential(nn.Flatten(), Still())

class Still(nn.Module):
    def forward(self, x):
        return torch.nn.functional.one_hot((x.detach().reshape(-1, 12, 3, 4).mean((1, 3)) * 1e4).argmax(1), 3) * 5.0
"""

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command line in this process, in a folder with net.py and data.npz: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    y = np.arange(12) % 3
    x = rng.uniform(0.3, 0.5, (12, 1, 12, 12))
    for image, label in zip(x, y, strict=True):
        image[:, :, 4 * label : 4 * label + 4] += 0.1
    x[:, :, 0, 0] = np.linspace(0, 1, 12)[:, None]
    y[11] = 0  # the model gets this one wrong
    np.savez(tmp_path / "data.npz", x=np.rint(x * 255).astype(np.uint8), y=y)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["sparring", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err

    return call


HERE = ("--model", "net.py:build", "--data", "npz:data.npz")


def strict(path: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def figures(out: str) -> dict[str, str]:
    """First words and value of each line of the table."""
    lines = [line.split("  ") for line in out.splitlines() if "  " in line]
    return {cells[0]: next(cell.strip() for cell in cells[1:] if cell.strip()) for cells in lines}


def test_a_defense_is_attacked_through_the_way_back_that_it_declares(run: Run) -> None:
    """Rounding has no gradient: an attack that does not know better moves nothing."""
    left = {}
    for flags in ([], ["--as-is"]):
        code, out, _ = run("attack", "pgd:steps=5", *HERE, "--eps", "0.2", "--defense", "bits:3", *flags)
        assert code == 0
        left[bool(flags)] = figures(out)["robust accuracy"], "zero-gradients" in out
    assert left[True] == ("91.7 %", True)
    assert left[False] == ("0.0 %", False)


def test_everything_at_once(run: Run, tmp_path: Path) -> None:
    code, out, err = run(
        "attack", "pgd:steps=5", *HERE, "--eps", "0.2", "--batch-size", "5", "--out", "out", "--json", "deep/a.json"
    )  # fmt: skip
    assert (code, err) == (0, "")
    table = figures(out)
    assert table["clean accuracy"] == "91.7 %"
    assert table["robust accuracy"] == "0.0 %"
    assert table["attack success rate"] == "100.0 %"
    assert "11 of 12 right before the attack" in out
    assert "11 of 11 that were right fooled" in out
    assert table["read back, exact"] == "11"
    assert "pgd:steps=5 on net.py:build, npz:data.npz all, Linf 0.2, untargeted, seed 0" in " ".join(out.split())
    content = strict(tmp_path / "deep" / "a.json")
    assert content == strict(tmp_path / "out" / "result.json")
    assert content["n"] == len(content["samples"]) == 12
    assert (content["clean_accuracy"], content["robust_accuracy"]) == (pytest.approx(11 / 12), 0.0)
    assert content["recheck"]["exact"] == content["recheck"]["reported"] == content["recheck"]["of"] == 11
    assert content["passes"] == sum(row["queries"] + row["gradients"] for row in content["samples"])
    assert content["threat"] == {"norm": "Linf", "eps": 0.2, "box": [0.0, 1.0], "levels": None}
    with (tmp_path / "out" / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["clean_correct"] for row in rows] == ["true"] * 11 + ["false"]
    model = load_model("net.py:build")
    tensors, _ = read_adversarials(tmp_path / "out" / "adversarials.safetensors")
    assert torch.equal(model(tensors["x_adv"]).argmax(1) != tensors["y"], tensors["success"])
    assert float((tensors["x_adv"] - tensors["x"]).abs().max()) <= 0.2 + 1e-6
    check = verify_pngs(tmp_path / "out" / "png", model)
    assert int(check.success[:11].sum()) == content["recheck"]["png"]
    assert (tmp_path / "out" / "grid.png").stat().st_size > 10_000


def test_the_batch_size_changes_no_figure(run: Run, tmp_path: Path) -> None:
    contents = []
    for size in ("1", "7", "100"):
        code, _, _ = run(
            "attack", "pgd:steps=3,restarts=2", *HERE, "--eps", "0.05", "--batch-size", size, "--json", size
        )  # fmt: skip
        assert code == 0
        contents.append(strict(tmp_path / size))
    first, *others = contents
    assert 0 < first["robust_accuracy"] < 1
    for other in others:
        for mine, its in zip(first["samples"], other["samples"], strict=True):
            for key in ("success", "clean_correct", "queries", "gradients", "first_hit", "label"):
                assert mine[key] == its[key]
            assert mine["margin"] == pytest.approx(its["margin"], abs=1e-4)  # the last bits depend on the batch


def test_a_target_leaves_out_its_own_class(run: Run, tmp_path: Path) -> None:
    code, out, err = run("attack", "pgd", *HERE, "--eps", "0.2", "--target", "1", "--out", "out")
    assert code == 0
    assert err.strip() == "left out 4 of 12 images: they are of class 1 already"
    content = strict(tmp_path / "out" / "result.json")
    assert (content["n"], content["left_out"], content["target"]) == (8, 4, "1")
    assert [row["index"] for row in content["samples"]] == [0, 2, 3, 5, 6, 8, 9, 11]
    assert {row["target"] for row in content["samples"]} == {1}
    assert content["misclassified"] == 7
    assert "driven to their target" in out
    assert "misclassified" in out
    assert (tmp_path / "out" / "png" / "00009.png").is_file()


@pytest.mark.parametrize("target", ["least-likely", "second_best", "next"])
def test_targets_by_rule(run: Run, tmp_path: Path, target: str) -> None:
    code, _, err = run("attack", "pgd", *HERE, "--eps", "0.3", "--target", target, "--json", "a.json")
    assert (code, err) == (0, "")
    samples = strict(tmp_path / "a.json")["samples"]
    assert len(samples) == 12
    assert all(row["target"] != row["label"] for row in samples)
    if target == "next":
        assert all(row["target"] == (row["label"] + 1) % 3 for row in samples)


def test_a_budget_is_kept(run: Run, tmp_path: Path) -> None:
    code, out, _ = run(
        "attack", "pgd", *HERE, "--eps", "0.001", "--queries", "7", "--gradients", "3", "--json", "a.json"
    )
    assert code == 0
    content = strict(tmp_path / "a.json")
    assert max(row["queries"] for row in content["samples"]) <= 7
    assert max(row["gradients"] for row in content["samples"]) == 3
    assert [doubt["code"] for doubt in content["doubts"]] == ["budget-spent"]
    assert "doubt: budget-spent: " in out


def test_levels_survive_as_pngs(run: Run, tmp_path: Path) -> None:
    code, _, _ = run("attack", "pgd", *HERE, "--eps", "15/255", "--levels", "256", "--out", "out")
    assert code == 0
    recheck = strict(tmp_path / "out" / "result.json")["recheck"]
    assert recheck["png"] == recheck["exact"] == recheck["reported"] > 0


def test_quiet_says_nothing(run: Run, tmp_path: Path) -> None:
    assert run("attack", "fgsm", *HERE, "--eps", "0.2", "--target", "1", "--json", "a.json", "--quiet") == (0, "", "")
    assert strict(tmp_path / "a.json")["attack"] == "fgsm"


def test_doubts_are_printed(run: Run) -> None:
    code, out, _ = run("attack", "fgsm", "--model", "net.py:blind", "--data", "npz:data.npz", "--eps", "0.01")
    assert code == 0
    assert "doubt: zero-gradients: " in out


GOOD = ("attack", "pgd", *HERE, "--eps", "0.1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("attack", "pgdx", *GOOD[2:]), "no attack is called 'pgdx'; did you mean pgd"),
        (("attack", "", *GOOD[2:]), "no attack is called ''"),
        (("attack", "pgd:stepz=3", *GOOD[2:]), "pgd has no field 'stepz'"),
        (("attack", "pgd:steps=-1", *GOOD[2:]), "pgd: steps='-1'"),
        (("attack", "pgd:steps", *GOOD[2:]), "write field=value"),
        (("attack", "pgd:loss=[/red]", *GOOD[2:]), "[/red]"),
        ((*GOOD[:-1], "lots"), "eps 'lots' is not a number"),
        ((*GOOD[:-1], "-0.1"), "eps is -0.1"),
        ((*GOOD[:-1], "1/0"), "eps '1/0' is not a number"),
        ((*GOOD[:-1], "nan"), "nan"),
        (GOOD[:-2], "pgd needs --eps"),
        (("attack", "pgd", "--eps", "0.1"), "say which model: --model"),
        (("attack", "pgd", "--eps", "0.1", "--model", "none.py:build"), "there is no file none.py"),
        (("attack", "pgd", "--eps", "0.1", "--model", "[/b]:x"), "not understood"),
        ((*GOOD, "--model", "net.py:builder"), "net.py has no 'builder'"),
        ((*GOOD, "--model", "net.py:broken"), "cannot take images of shape (1, 12, 12) from npz:data.npz"),
        ((*GOOD, "--model", "net.py:Nan"), "NaN"),
        ((*GOOD, "--data", "npz:none.npz"), "none.npz does not exist"),
        ((*GOOD, "--data", "[/b]"), "unknown data '[/b]'"),
        ((*GOOD, "--n", "13"), "asked for the first 13"),
        ((*GOOD, "--norm", "L7"), "L7"),
        ((*GOOD, "--norm", "L0"), "pgd works under L1, L2, Linf, not L0"),
        ((*GOOD, "--target", "best"), "target 'best' is not known"),
        ((*GOOD, "--target", "17"), "0..2"),
        ((*GOOD, "--target", "-1"), "target '-1' is not known"),
        ((*GOOD, "--keep", "all"), "--keep all is not known; it is one of best, margin, last"),
        ((*GOOD, "--levels", "1"), "levels is 1"),
        ((*GOOD, "--queries", "0"), "budget queries=0"),
        ((*GOOD, "--device", "toaster"), "toaster"),
        ((*GOOD, "--weights", "none.pt"), "none.pt"),
        ((*GOOD, "--out", "net.py"), "net.py is a file; name a folder"),
        ((*GOOD, "--out", "."), "holds files that sparring did not write (data.npz, net.py)"),
        ((*GOOD, "--out", "net.py/below"), "cannot write net.py/below: Not a directory"),
        ((*GOOD, "--json", "."), "is a folder; name the file"),
        ((*GOOD, "--json", "net.py/a.json"), "cannot write net.py/a.json"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line_and_code_2(run: Run, arguments: tuple[str, ...], message: str) -> None:
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("sparring: ")
    assert err.count("\n") == 1
    assert message in err


def test_bad_places_are_found_before_the_work(run: Run, tmp_path: Path) -> None:
    """The folder is refused before the model is looked at, which may take minutes to load and attack."""
    _, _, err = run("attack", "pgd", "--eps", "0.1", "--model", "none.py:build", "--out", ".")
    assert "did not write" in err


def test_force_and_reruns(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    assert run(*GOOD, "--out", "out")[0] == 2
    assert run(*GOOD, "--out", "out", "--force", "--n", "6")[0] == 0
    assert run(*GOOD, "--out", "out", "--n", "3")[0] == 0
    assert (tmp_path / "out" / "mine.txt").read_text() == "mine"
    assert sorted(path.name for path in (tmp_path / "out" / "png").glob("*.png")) == [f"0000{i}.png" for i in range(3)]


def command(*arguments: str) -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-c", "from sparring.cli import main; main()", *arguments]


def test_as_a_process_of_its_own(run: Run, tmp_path: Path) -> None:
    done = subprocess.run(command(*GOOD, "--n", "6"), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert figures(done.stdout)["clean accuracy"] == "100.0 %"


@pytest.mark.long
@pytest.mark.parametrize("option", ["--json", "--norm=Linf"])
def test_a_reader_who_leaves_is_no_error(option: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        done = subprocess.run(command("attacks", option), stdout=gone, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
