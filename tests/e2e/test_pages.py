"""Every command and every snippet of README and docs runs, on fewer images and with fewer steps than the page says.

What a page takes for granted (a net of the reader's, a run from further above) is laid out in a folder first. What
needs something that is not on this machine is skipped, with the reason.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

import sparring as sp
from sparring.data import list_data
from sparring.errors import MissingExtra
from sparring.zoo.nets import make_net

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
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
    "sparring crosscheck": "compares with toolkits that are not installed here",
}


def commands(page: Path) -> list[str]:
    """The commands in the code blocks of a page; "..." stands for the options of the page's first audit."""
    text = page.read_text(encoding="utf-8")
    blocks = [code for _, code in FENCE.findall(text)] + INDENTED.findall(FENCE.sub("", text))
    lines = [line.strip().removeprefix("$ ") for code in blocks for line in code.splitlines()]
    found = [line for line in lines if re.match(r"sparring [a-z]", line) and " | " not in line]
    return [line.replace(" ... ", WHAT) for line in found if not re.search(r" [A-Z]{3,}\b", line)]


def snippets(page: Path) -> list[str]:
    return [code for kind, code in FENCE.findall(page.read_text(encoding="utf-8")) if kind == "python"]


def cheaper(words: list[str]) -> list[str]:
    """The same command on four images, or for one epoch."""

    def put(name: str, value: str) -> None:
        at = next((k for k, word in enumerate(words) if word == name), None)
        if at is None:
            words.extend((name, value))
        else:
            words[at + 1] = value

    what = words[0]
    words[:] = [re.sub(r"defense-gan:steps=\d+,restarts=\d+", "defense-gan:steps=2,restarts=1", word) for word in words]
    if what in ("audit", "attack", "certify"):
        put("--n", "4")
    if what == "audit":
        at = words.index("--suite") + 1 if "--suite" in words else None
        if at is None or words[at] in ("quick", "standard"):
            put("--suite", "tiny.yaml")
        if "defense-gan:steps=2,restarts=1" in words:
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
    net = make_net("wong")
    for name in ("weights", "new"):
        safetensors.torch.save_file(net.state_dict(), home / f"{name}.safetensors")
    return home


CASES = [(page, line) for page in PAGES for line in dict.fromkeys(commands(page))]


@pytest.mark.long
@pytest.mark.parametrize(("page", "line"), CASES, ids=[f"{page.stem}: {line[:60]}" for page, line in CASES])
def test_a_command_on_a_page_runs(
    page: Path, line: str, folder: Path, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for start, reason in ELSEWHERE.items():
        if line.startswith(start):
            pytest.skip(reason)
    words = cheaper(shlex.split(line, comments=True)[1:])
    here = {info.name for info in list_data() if set(info.offline) == set(info.splits)}
    if "--data" in words and words[words.index("--data") + 1].partition(":")[0] in {"mnist", "cifar10"} - here:
        pytest.skip("the data is not on this machine")
    monkeypatch.chdir(folder)
    home = folder / page.stem
    home.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file() or path.is_symlink():
            (home / path.name).exists() or (home / path.name).symlink_to(path)
    monkeypatch.chdir(home)
    code, _, err = run(*words)
    if "needs the extra" in err:
        pytest.skip(err.strip())
    required = "--require" in words or "--fail-on-regression" in words
    assert code == 0 or (required and code == 1), err


def names(page: str) -> dict[str, Any]:
    """What the snippets of a page take for granted."""
    x, y = sp.load_data("mnist5k", n=6).tensors()
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model = sp.load_model("mnist-cnn")
    known = {"sp": sp, "model": model, "new": sp.wrap(net), "net": net, "images": (x, y), "x": x, "y": y, "step": 0}
    return {**known, "data": sp.load_data("mnist5k", n=6), "goal": sp.Targeted((y + 1) % 10, y)}


SNIPPETS = [(page, k) for page in PAGES for k in range(len(snippets(page)))]


@pytest.mark.long
@pytest.mark.parametrize(("page", "k"), SNIPPETS, ids=[f"{page.stem}-{k}" for page, k in SNIPPETS])
def test_a_snippet_on_a_page_runs(page: Path, k: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = snippets(page)[k]
    if "@register" in code:
        return _an_attack(code)
    if "Photos(" in code:
        pytest.skip("needs photographs of one scene and where its places are; tests/unit/attacks/test_physical.py")
    code = code.replace("n=100", "n=6").replace('suite="quick"', 'suite=["fgsm", "pgd:steps=10"]')
    code = code.replace("epochs=10", "epochs=1").replace("resume=True", "clean_floor=0, suite=['fgsm']")
    code = code.replace('replay="runs/mine"', 'replay="runs/mine", clean_floor=0, suite=["fgsm"]').replace(
        "40)(", "5)("
    )
    code = code.replace("sample(100", "sample(2").replace("draws=100", "draws=2")
    try:
        exec(compile(code, f"{page.name}, snippet {k}", "exec"), names(page.stem))
    except MissingExtra as error:
        pytest.skip(str(error))
    return None


def _an_attack(code: str) -> None:
    """The attack on the page is the shipped one."""
    from sparring.attack import Attack, register
    from sparring.losses import Loss, cross_entropy

    known: dict[str, Any] = {name: getattr(sp, name) for name in ("L0", "L1", "L2", "Linf")}
    known |= {"Attack": Attack, "register": register, "Loss": Loss, "cross_entropy": cross_entropy}
    with patch.dict("sparring.attack.REGISTRY", clear=True):
        exec(compile(code, "README.md", "exec"), known)
    x, y = sp.load_data("mnist5k", n=6).tensors()
    model, threat = sp.load_model("mnist-cnn"), sp.Threat("Linf", 0.1)
    assert torch.equal(known["FGSM"]()(model, x, y, threat).x_adv, sp.FGSM()(model, x, y, threat).x_adv)


def test_there_are_commands_and_snippets() -> None:
    assert len(CASES) > 35
    assert len(SNIPPETS) >= 8
