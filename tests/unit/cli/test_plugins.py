"""Own attacks, checks, suites, defenses and nets from the command line, and only when they are named."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparring.errors import InputError
from sparring.plugins import load_plugins

PLUGIN = """
from torch import nn
import sparring as sp
from helper import STEP
from sparring.attack import Attack, register
from sparring.audit.checks.registry import Found, check
from sparring.audit.suites.builtin import SUITES, stage_of
from sparring.audit.suites.stage import Suite
from sparring.preprocess import register_stage
from sparring.losses import margin

@register("my-climb", title="My climb", sees="gradient", norms=(sp.Linf,), year=2026, paper="none")
class MyClimb(Attack):
    share: float = STEP

    def run(self, bout):
        return bout.ball.linear_maximizer(bout.grad(bout.x, margin))

@check("my-check", severe=True, title="Mine", means="It fires.", remedy="None.", cause="my check always fires")
def mine(seen):
    return Found("this is always found")

SUITES["my-suite"] = Suite("my-suite", "Mine.", (stage_of("my-climb"),))

@register_stage("my-stage")
class Dim:
    backward, random = "exact", False

    def __init__(self, share=0.9, box=(0, 1)):
        self.share = float(share)

    def __call__(self, x):
        return x * self.share
"""
NET = """
from torch import nn

def small(in_channels, num_classes, size):
    return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * size * size, num_classes))

def seven():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 7))
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    (tmp_path / "helper.py").write_text("STEP = 1.0\n")
    (tmp_path / "mine.py").write_text(PLUGIN)
    (tmp_path / "net.py").write_text(NET)
    return tmp_path / "mine.py"


def run(*words: object, code: int = 0) -> str:
    """stdout and stderr of the command, in a process of its own: a plugin stays in the one that loaded it."""
    ran = subprocess.run(
        [sys.executable, "-m", "sparring", *map(str, words)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout + ran.stderr


@pytest.mark.long
def test_an_audit_with_an_own_suite_attack_check_and_stage(plugin: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    audit = ("audit", "--model", "mnist-cnn", "--n", 12, "--eps", 0.1, "--suite", "my-suite", "--defense", "my-stage")
    said = run(*audit, "--plugin", plugin, "--out", out)
    report = json.loads((out / "report.json").read_text())
    assert "my-climb" in {one["attack"] for one in report["attacks"]}
    assert "my-check" in {one["code"] for one in report["doubts"]}
    assert "my check always fires" in said
    assert f"--plugin {plugin}" in report["command"]
    assert "no suite is called 'my-suite'" in run(*audit, code=2), "nothing runs that is not named"
    assert "uses plugins, which are code" in run("verify", out, code=2), "nor because a folder says so"
    run("verify", out, "--trust")
    plugin.write_text(PLUGIN + "\n# changed\n")
    assert "plugins" in run(*audit, "--plugin", plugin, "--out", out, "--resume", code=2), "another attack, perhaps"


@pytest.mark.long
def test_attacks_and_checks_of_plugins_are_listed_and_run(plugin: Path) -> None:
    assert "My climb" in run("attacks", "my-climb", "--plugin", plugin)
    assert "my-check" in run("checks", "--plugin", plugin)
    run("attack", "my-climb", "--model", "mnist-cnn", "--n", 4, "--eps", 0.1, "--plugin", plugin)
    assert "no attack is called 'my-climb'" in run("attacks", "my-climb", code=2)


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("from sparring.attack import Attack, register\nimport sparring as sp\n"
         "@register('pgd', title='P', sees='gradient', norms=(sp.L2,), year=2026, paper='')\nclass P(Attack): pass",
         "two attacks are called 'pgd'"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_plugin_is_said(tmp_path: Path, code: str, says: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(InputError, match=says):
        load_plugins([tmp_path / "bad.py"])
    with pytest.raises(InputError, match="there is no file"):
        load_plugins([tmp_path / "none.py"])
    with pytest.raises(InputError, match=r"no plugin is called 'none'.*sparring\.plugins"):
        load_plugins(["none"])


def test_entry_points_are_loaded_by_name_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "their_package_x.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    info = tmp_path / "their-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[sparring.plugins]\ntheirs = their_package_x\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InputError, match=r"did you mean theirs\?"):
        load_plugins(["their"])
    assert not (tmp_path / "ran").exists()
    load_plugins(["theirs"])
    assert (tmp_path / "ran").exists()


@pytest.mark.long
def test_an_own_net_is_trained_and_loaded(plugin: Path, tmp_path: Path) -> None:
    net, out = f"{tmp_path}/net.py:small", tmp_path / "trained"
    run("train", "--net", net, "--limit", 400, "--epochs", 1, "--out", out)
    card = json.loads((out / "card.json").read_text())
    assert card["net"]["name"] == net
    refused = run("audit", "--model", out, "--n", 12, "--eps", 0.1, "--suite", "quick", code=2)
    assert "which is code" in refused
    run("attack", "fgsm", "--model", out, "--trust", "--n", 4, "--eps", 0.1)
    assert "7 logits" in run("train", "--net", f"{tmp_path}/net.py:seven", "--epochs", 1, "--out", out / "b", code=2)
