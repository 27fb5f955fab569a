"""Runs, reports and paths that anybody may have changed: each case ends in a result, or in one line with exit 2 or 3.

Shares its 300 cases with test_fuzz.py; `make fuzz` tries 10,000.
"""

from __future__ import annotations

import copy
import json
import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sparring as sp
from sparring.audit.report.document import seal
from sparring.cli import main
from sparring.export.files import check_writable, open_folder

CASES = int(os.environ.get("SPARRING_FUZZ", "300"))
TESTS = 20
fuzz = settings(
    max_examples=-(-CASES // TESTS),
    deadline=None,
    derandomize=CASES <= 300,
    database=None,
    suppress_health_check=list(HealthCheck),
)

slow = settings(fuzz, max_examples=-(-CASES // (4 * TESTS)))
"a verification takes a quarter of a second"

NET = """
import torch
from torch import nn

def build():
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    with torch.no_grad():
        net[1].weight.copy_(torch.arange(7840.0).reshape(10, 784).sin())
        net[1].bias.zero_()
    return net
"""
SUITE = "receipt: true\nsubset: 3\nstages:\n  - fgsm\n  - noise:draws=3\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of an audit of four images, in home/run, and one to compare with, in home/other."""
    home = tmp_path_factory.mktemp("runs")
    (home / "net.py").write_text(NET)
    (home / "tiny.yaml").write_text(SUITE)
    for name in ("run", "other"):
        words = ["audit", "--model", f"{home}/net.py:build", "--n", "4", "--eps", "0.1", "--clean-floor", "0", "-q"]
        words += ["--suite", f"{home}/tiny.yaml", "--require", "clean >= 0%", "--out", f"{home}/{name}"]
        assert sparring(*words)[0] in (0, 1)
    return home


def sparring(*words: str) -> tuple[int, str]:
    """Exit code and the last thing on stderr of a command."""
    said: list[str] = []

    class Ear:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            said.append(text)
            return len(text)

        def flush(self) -> None:
            pass

        def isatty(self) -> bool:
            return False

    before = sys.argv, sys.stderr, sys.stdout
    sys.argv, sys.stderr, sys.stdout = ["sparring", *words], Ear(), Ear()  # type: ignore[assignment]
    try:
        main()
    except SystemExit as left:
        return int(left.code or 0), "".join(said)
    finally:
        sys.argv, sys.stderr, sys.stdout = before
    raise AssertionError("main() must leave by SystemExit")


def ends_well(*words: str, codes: tuple[int, ...] = (0, 1, 2)) -> None:
    code, said = sparring(*words)
    assert code in codes, (code, said[-2000:])
    assert "Traceback" not in said
    if code == 2:
        last = [line for line in said.splitlines() if line.startswith("sparring: ")]
        assert last, said[-500:]
        assert len(last[-1]) < 1200


VALUES = st.one_of(
    *(st.none(), st.booleans(), st.integers(-3, 10), st.integers(), st.floats(), st.text(max_size=8)),
    st.sampled_from([[], {}, [0], {"x": 1}, "8/255", -1, 1e308, "\n", "[red]", "../x", "standing", "fgsm"]),
)
EDITS = st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(["set", "drop", "twice"]), VALUES), max_size=3)


def edited(plain: Any, edits: list[tuple[int, str, Any]]) -> Any:
    """A copy with a value here and there replaced, left out, or there twice."""
    plain = copy.deepcopy(plain)
    for number, what, value in edits:
        node: Any = plain
        dice = random.Random(number)
        for _ in range(dice.randint(0, 4)):
            below = list(node.values()) if isinstance(node, dict) else list(node)
            deeper = [one for one in below if isinstance(one, dict | list) and one]
            if not deeper:
                break
            node = dice.choice(deeper)
        key = dice.choice(list(node)) if isinstance(node, dict) else dice.randrange(len(node))
        if what == "set":
            node[key] = copy.deepcopy(value)  # the next edit may be inside it
        elif what == "drop":
            del node[key]
        elif isinstance(node, list):
            node.append(node[key])
        if not node:
            break
    return plain


def change(folder: Path, name: str, edits: list[tuple[int, str, Any]], sealed: bool = False) -> None:
    path = folder / name
    plain = edited(json.loads(path.read_text()), edits)
    if sealed and isinstance(plain, dict):
        plain["seal"] = seal(plain)
    path.write_text(json.dumps(plain), encoding="utf-8", errors="surrogatepass")


@pytest.fixture
def work(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Gives a fresh copy of the run."""

    def fresh() -> Path:
        copied = tmp_path_factory.getbasetemp() / "copied"
        shutil.rmtree(copied, ignore_errors=True)
        return Path(shutil.copytree(home / "run", copied))

    return fresh


@fuzz
@given(edits=EDITS, forms=st.booleans())
def test_reports_that_were_changed(work: Callable[[], Path], edits: list[tuple[int, str, Any]], forms: bool) -> None:
    run = work()
    change(run, "report.json", edits, sealed=True)
    more = ["--html", f"{run}/x.html", "--junit", f"{run}/x.xml", "--sarif", f"{run}/x.sarif"] if forms else []
    ends_well("report", str(run), "--require", "robust >= 50%", *more)


@fuzz
@given(edits=EDITS, first=st.booleans())
def test_comparisons_of_reports_that_were_changed(
    home: Path, work: Callable[[], Path], edits: list[tuple[int, str, Any]], first: bool
) -> None:
    run = work()
    change(run, "report.json", edits, sealed=True)
    pair = [str(run), str(home / "other")]
    ends_well("compare", *(pair if first else pair[::-1]), "--markdown", f"{run}/c.md", "--json", f"{run}/c.json")


@slow
@given(edits=EDITS, name=st.sampled_from(["plan.json", "report.json", "options.json"]), sealed=st.booleans())
def test_verification_of_runs_that_were_changed(
    home: Path, work: Callable[[], Path], edits: list[tuple[int, str, Any]], name: str, sealed: bool
) -> None:
    run = work()
    change(run, name, edits, sealed and name == "report.json")
    ends_well("verify", str(run), "--model", f"{home}/net.py:build", codes=(0, 1, 2, 3))


@slow
@given(at=st.integers(0, 20000), cut=st.integers(0, 30), more=st.binary(max_size=6), which=st.integers(0, 5))
def test_shards_that_were_changed(
    home: Path, work: Callable[[], Path], at: int, cut: int, more: bytes, which: int
) -> None:
    run = work()
    files = sorted((run / "shards").iterdir())
    path = files[which % len(files)]
    data = path.read_bytes()
    at %= len(data)
    path.write_bytes(data[:at] + more + data[at + cut :])
    ends_well("verify", str(run), "--model", f"{home}/net.py:build", codes=(0, 1, 2, 3))


PATHS = st.lists(
    st.one_of(
        st.text(max_size=12), st.sampled_from(["[/b]", "a:b", "\udcff", "x" * 300, " ", "é", "%s", "-", "report"])
    ),
    min_size=1,
    max_size=3,
).map(lambda parts: "/".join(part.replace("..", "").lstrip("/") for part in parts))


@fuzz
@given(text=PATHS)
def test_paths_to_write_to(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    base = tmp_path_factory.getbasetemp() / "paths"
    base.mkdir(exist_ok=True)
    path = Path(f"{base}/{text}")
    for call in (check_writable, open_folder):
        said = ""
        try:
            call(path)
        except sp.SparringError as error:
            said = str(error)
        assert "\n" not in said
    shutil.rmtree(base, ignore_errors=True)
