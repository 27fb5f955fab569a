"""A whole black-box exercise on one machine: served on loopback, attacked over HTTP, killed in the middle, resumed."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

for _package, _extra in (("httpx", "http"), ("fastapi", "serve"), ("uvicorn", "serve")):
    pytest.importorskip(_package, reason=f"needs the extra {_extra}")

START = "import sys; from sparring.cli import main; sys.argv[0] = 'sparring'; main()"
CONCURRENCY = 4


def command(*words: object) -> list[str]:
    return [sys.executable, "-c", START, *map(str, words)]


@contextmanager
def served(folder: Path, *options: object) -> Iterator[str]:
    """`sparring serve mnist-cnn` on a free port; gives its URL with the mapping."""
    folder.mkdir(exist_ok=True)
    mapping = folder / "mapping.json"
    words = command("serve", "mnist-cnn", "--port", 0, "--mapping", mapping, *options)
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"at (http://127\.0\.0\.1:\d+/predict)#mapping=", line)
            assert found, line
            yield f"{found[1]}#mapping={mapping}"
        finally:
            process.terminate()


def stats(url: str) -> Any:
    with urllib.request.urlopen(url.partition("/predict")[0] + "/stats", timeout=10) as answer:
        return json.load(answer)


def attack(url: str, cache: Path, out: Path, *more: object) -> list[str]:
    fragment = f"{url},cache={cache},concurrency={CONCURRENCY},backoff=0.01"
    spec = ("attack", "rays:queries=60", "--eps", 0.2, "--n", 6)
    return command(*spec, "--model", fragment, "--json", out, "--force", *more)


@pytest.mark.long
def test_killed_in_the_middle_nothing_is_paid_twice(tmp_path: Path) -> None:
    with served(tmp_path / "s", "--answers", "labels", "--failures", 0.05) as url:
        subprocess.run(attack(url, tmp_path / "whole.sqlite", tmp_path / "whole.json"), check=True, capture_output=True)
        whole = stats(url)["answered"]
        before = stats(url)["received"]
        broken = attack(url, tmp_path / "broken.sqlite", tmp_path / "broken.json")
        with subprocess.Popen(broken, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL) as process:
            deadline = time.monotonic() + 60
            while stats(url)["received"] - before < whole // 2 and time.monotonic() < deadline:
                time.sleep(0.005)
            assert process.poll() is None, "it was done before it could be killed"
            process.send_signal(signal.SIGKILL)
        time.sleep(0.2)
        at_kill = stats(url)["answered"] - whole
        assert 0 < at_kill < whole
        done = subprocess.run(broken, check=True, capture_output=True, text=True)
        after = stats(url)
    paid = after["answered"] - whole
    assert whole <= paid <= whole + CONCURRENCY, "only what was under way when it was killed may be asked again"
    one, two = (json.loads((tmp_path / name).read_text()) for name in ("whole.json", "broken.json"))
    for figure in ("clean_accuracy", "robust_accuracy", "median_distance", "queries"):
        assert one.get(figure) == two.get(figure), figure
    said = re.search(r"([\d,]+) queries were sent, ([\d,]+) were answered", done.stderr)
    assert said, done.stderr
    sent, answered = (int(number.replace(",", "")) for number in said.groups())
    assert sent >= after["received"] - before >= answered
    assert sent - (after["received"] - before) <= CONCURRENCY
    assert paid - answered <= CONCURRENCY


@pytest.mark.long
def test_an_audit_over_http_says_what_was_seen_and_paid(tmp_path: Path) -> None:
    suite = tmp_path / "suite.yaml"
    suite.write_text("name: tiny\nsubset: 2\nstages:\n  - square:queries=20\n")
    with served(tmp_path / "s", "--answers", "topk", "--k", 3) as url:
        words = ("audit", "--model", f"{url},cache=false", "--n", 4, "--eps", 0.3, "--suite", suite)
        done = subprocess.run(
            command(*words, "--json", tmp_path / "r.json"), capture_output=True, text=True, check=True
        )
        received = stats(url)["received"]
    report = json.loads((tmp_path / "r.json").read_text())
    assert "The attacker saw scores, and no gradients." in report["verdict"]
    assert f"{received:,} queries were sent" in done.stderr
    assert received <= sum(report["passes"].values() if isinstance(report["passes"], dict) else [report["passes"]]) + 1


@pytest.mark.long
def test_the_service_refuses_what_is_no_picture_and_keeps_its_limits(tmp_path: Path) -> None:
    def post(url: str, body: bytes, kind: str = "application/json") -> int:
        request = urllib.request.Request(url.partition("#")[0], body, {"Content-Type": kind})
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    grey = json.dumps({"image": [[[0.5]] * 28] * 28}).encode()
    with served(tmp_path / "s", "--max-queries", 3) as url:
        assert post(url, b"{}") == 400
        assert post(url, b"[" * 100_000) == 400
        assert post(url, b'{"image": "AAAA"}') == 400
        assert post(url, b'{"image": [[[2]]]}') == 400
        assert post(url, json.dumps({"image": [[[0.5]] * 27] * 27}).encode()) == 400
        assert post(url, b"no picture", "image/png") == 400
        assert post(url, b"x", "multipart/form-data; boundary=b") == 400
        assert [post(url, grey) for _ in range(4)] == [200, 200, 200, 403]
        assert stats(url) == {"received": 11, "answered": 3, "failed": 0, "refused": 8}
    with served(tmp_path / "r", "--rate", 2) as url:
        assert [post(url, grey) for _ in range(2)] == [200, 429]
