"""Every command of README and docs runs, on fewer images and with fewer steps than the page says.

What a page takes for granted (a net of the reader's, a run from further above) is laid out in a folder first. What
needs something that is not on this machine is skipped, with the reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch

from sparring.data import list_data
from sparring.zoo.nets import make_net

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^    .*\n)+", re.MULTILINE)
TINY = "receipt: false\nsubset: 4\nstages:\n  - fgsm\n  - pgd:steps=10\n"
NET = """
import sparring as sp
from torch import nn

def build():
    return sp.load_model("mnist-cnn").net

def factory(in_channels, num_classes, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * size * size, num_classes))
"""
PLUGIN = """
from sparring.audit.suites.builtin import SUITES, stage_of
from sparring.audit.suites.stage import Suite

SUITES["mine"] = Suite("mine", "Mine.", (stage_of("fgsm"), stage_of("pgd:steps=10")), subset=4)
"""
WHAT = " --model mnist-cnn-pgd --data mnist --eps 0.3 "
EXPERIMENTS = "takes minutes, or nets that are trained first; its parts have tests of their own"
ELSEWHERE = {
    "sparring reproduce": EXPERIMENTS,
    "sparring generate quality": "measures thousands of samples",
    "sparring generate train": "trains a generator; tests/unit/generators does so",
    "sparring bundle": "needs a key that the page makes with openssl; tests/unit/attestation does so",
    "sparring verify evidence": "needs a bundle, see above",
    "sparring rerun runs/last": "begins with a run that the page takes from elsewhere",
    "sparring crosscheck": "compares with toolkits that are not installed here",
    "sparring serve": "answers until it is stopped; tests/e2e/test_black_box_cli.py",
}


def commands(page: Path) -> list[str]:
    """The commands in the code blocks of a page; "..." stands for the options of the page's first audit."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    blocks = [code for _, code in FENCE.findall(text)] + INDENTED.findall(FENCE.sub("", text))
    lines = [line.strip().removeprefix("$ ") for code in blocks for line in code.splitlines()]
    found = [line for line in lines if re.match(r"sparring [a-z]", line) and " | " not in line]
    return [line.replace(" ... ", WHAT) for line in found if not re.search(r" [A-Z]{3,}\b", line)]


def cheaper(words: list[str]) -> list[str]:
    """The same command on four images, or for one epoch; an object store is one in memory."""

    def put(name: str, value: str) -> None:
        at = next((k for k, word in enumerate(words) if word == name), None)
        if at is None:
            words.extend((name, value))
        else:
            words[at + 1] = value

    what = words[0]
    if "--data" in words and words[words.index("--data") + 1] in absent() & smaller(["sparring", *words]):
        put("--data", "mnist5k")
    small = "defense-gan:steps=2,restarts=1"
    words[:] = [re.sub(r"defense-gan:steps=\d+,restarts=\d+", small, word) for word in words]
    words[1:] = [
        small if word == "defense-gan" and words[k] == "--defense" else word for k, word in enumerate(words[1:])
    ]
    words[:] = [re.sub("^s3://", "memory://", word) for word in words]
    if what in ("audit", "attack", "certify"):
        put("--n", "4")
    if what == "audit":
        at = words.index("--suite") + 1 if "--suite" in words else None
        if at is None or words[at] in ("quick", "standard"):
            put("--suite", "tiny.yaml")
        if small in words:
            put("--suite", "fgsm.yaml")
        if "--plan" not in words:
            put("--clean-floor", "0")
    if what == "attack" and words[1].startswith("min-norm"):
        put("--passes", "200")
    if what == "train":
        put("--epochs", "1")
        put("--limit", "64")
        put("--check", "4")
        put("--suite", "tiny.yaml")
    return words


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the pages take for granted."""
    home = tmp_path_factory.mktemp("pages")
    for name in ("net.py", "new.py", "my_net.py"):
        (home / name).write_text(NET)
    (home / "mine.py").write_text(PLUGIN)
    (home / "tiny.yaml").write_text(TINY)
    (home / "mine.yaml").write_text(TINY)
    (home / "fgsm.yaml").write_text("receipt: false\nsubset: 1\nstages:\n  - fgsm\n")
    (home / "examples").symlink_to(ROOT / "examples")
    np.save(home / "radii.npy", np.zeros(4))
    np.savez(home / "test.npz", x=np.zeros((4, 28, 28), dtype=np.uint8), y=np.arange(4))
    net = make_net("wong")
    for name in ("weights", "new"):
        safetensors.torch.save_file(net.state_dict(), home / f"{name}.safetensors")
    return home


def left_out(line: str) -> str | None:
    """Why a command is not run here; None = it is."""
    for start, reason in ELSEWHERE.items():
        if line.startswith(start):
            return reason
    if "--ray" in line or "--slurm" in line:
        return "needs a cluster; tests/e2e/test_audit_cluster.py"
    if "api.example.org" in line or "127.0.0.1" in line or "tflite:" in line:
        return "needs a server or a file of the reader's; tests/e2e/test_black_box_cli.py, tests/unit/zoo/targets"
    if "hf:my-model" in line or "folder:" in line:
        return "needs a model or pictures of the reader's; tests/unit/cli/test_pictures_for_a_model.py"
    words = shlex.split(line, comments=True)
    if "--data" in words and words[words.index("--data") + 1].partition(":")[0] in absent() - smaller(words):
        return "the data is not on this machine"
    return None


def absent() -> set[str]:
    """Data sets that are not on this machine."""
    return {"mnist", "cifar10"} - {info.name for info in list_data() if set(info.offline) == set(info.splits)}


def smaller(words: list[str]) -> set[str]:
    """Data sets in whose place the digits of the package do, for this command."""
    return {"mnist"} if words[1] in ("audit", "certify", "attack") else set()


CASES = {page: list(dict.fromkeys(commands(page))) for page in PAGES}


@pytest.mark.long
@pytest.mark.parametrize("page", [page for page, lines in CASES.items() if lines], ids=lambda page: page.stem)
def test_the_commands_of_a_page_run(
    page: Path, folder: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after the other, as a reader would: later ones may need what earlier ones have left."""
    home = folder / page.stem
    home.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() or path.is_symlink():
            (home / path.name).symlink_to(path)
    monkeypatch.chdir(home)
    wrong, skipped = {}, {}
    for line in CASES[page]:
        reason = left_out(line)
        if reason is not None:
            skipped[line] = reason
            continue
        words = cheaper(shlex.split(line, comments=True)[1:])
        code, _, err = run(*words)
        if "needs the extra" in err:
            skipped[line] = err.strip()
        elif code and not (code == 1 and ("--require" in words or "--fail-on-regression" in words)):
            wrong[line] = err
    assert wrong == {}
    if len(skipped) == len(CASES[page]):
        pytest.skip("; ".join(dict.fromkeys(skipped.values())))


def test_there_are_commands() -> None:
    assert sum(map(len, CASES.values())) > 35
