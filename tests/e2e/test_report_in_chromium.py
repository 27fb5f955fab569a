"""The HTML report in a real browser: no console errors, nothing asked of the network, nothing wider than the screen.

Chromium runs headless; the page is shown in frames of two widths, which a script of the test measures from outside.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest

import sparring as sp

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

WIDTHS = (390, 1440)
ELSEWHERE = "http://192.0.2.1/pixel.png"  # an address that no machine has (RFC 5737)
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--enable-logging=stderr",
)  # fmt: skip
MEASURE = """
addEventListener("load", () => {
  const seen = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, view = page.documentElement.clientWidth;
    const wide = [...page.querySelectorAll("body *")].filter(one =>
      one.clientWidth && one.scrollWidth > one.clientWidth + 1 && !one.closest(".scroll, svg"));
    return {width: +frame.width, view, needs: page.documentElement.scrollWidth,
            height: page.documentElement.scrollHeight, wide: wide.map(one => one.tagName + "." + one.className),
            broken: [...page.images].filter(one => !one.naturalWidth).length};
  });
  document.getElementById("seen").textContent = JSON.stringify(seen);
});
"""


@dataclass(frozen=True)
class Visit:
    """What Chromium says of pages: sizes by page and width, lines of its console, addresses that they asked for."""

    sizes: list[dict[str, Any]]
    console: list[str]
    requests: list[str]


def visit(folder: Path, *pages: str) -> Visit:
    """Show each page in frames of both widths."""
    assert BROWSER is not None
    frames = "".join(
        f'<iframe width="{width}" height="900" srcdoc="{escape(page)}"></iframe>' for page in pages for width in WIDTHS
    )
    folder.mkdir(exist_ok=True)
    around = folder / "around.html"
    around.write_text(f'<!doctype html><meta charset="utf-8"><pre id="seen"></pre>{frames}<script>{MEASURE}</script>')
    log = folder / "net.json"
    words = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"]
    done = subprocess.run(
        [*words, "--dump-dom", around.as_uri()],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    seen = re.search(r'<pre id="seen">(.*?)</pre>', done.stdout)
    assert seen is not None, done.stderr
    return Visit(
        json.loads(unescape(seen[1])),
        [line.partition("CONSOLE")[2] for line in done.stderr.splitlines() if "CONSOLE" in line],
        _requests(log.read_text()),
    )


def _requests(log: str) -> list[str]:
    """What pages asked for; what the browser asks for on its own (updates, the time) has no origin."""
    return re.findall(r'"initiator":"(?!not an origin")[^\n]*"url":"([^"]*)"', log)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A page with all sections: claims, doubts, curves, matrix, classes, survival, pictures."""
    report = sp.audit(
        sp.load_model("mnist-cnn"),
        sp.load_data("mnist5k", n=12),
        sp.Threat("Linf", 0.1),
        suite=["fgsm", "pgd:steps=10,loss=margin", "square:queries=50"],
        claims=["fgsm=0.9", "clean=0.5"],
        require=["robust@0.1 >= 85%"],
    )
    path = report.to_html(tmp_path_factory.mktemp("page") / "report.html")
    assert path.stat().st_size < 3_000_000
    return path.read_text(encoding="utf-8")


def test_the_page_is_quiet_and_fits_a_phone_and_a_desk(page: str, tmp_path: Path) -> None:
    seen = visit(tmp_path, page)
    assert seen.console == []
    assert seen.requests == []
    assert [one["width"] for one in seen.sizes] == list(WIDTHS)
    for one in seen.sizes:
        assert one["needs"] == one["view"], one["wide"]
        assert one["wide"] == []
        assert one["broken"] == 0
        assert 1500 < one["height"] < 30_000


def test_what_is_wrong_with_a_page_is_noticed(page: str, tmp_path: Path) -> None:
    """The same page with a picture from elsewhere and a line too wide; without its policy it asks for it."""
    bad = page.replace("<main ", f'<img src="{ELSEWHERE}" alt="x"><div style="width: 2000px">x</div><main ', 1)
    free, count = POLICY.subn("", bad)
    assert count == 1
    held, asking = visit(tmp_path / "held", bad), visit(tmp_path / "free", free)
    assert any("Content Security Policy" in line for line in held.console)
    assert held.requests == []
    assert ELSEWHERE in asking.requests
    for one in held.sizes:
        assert one["needs"] > one["view"]
        assert one["broken"] == 1
