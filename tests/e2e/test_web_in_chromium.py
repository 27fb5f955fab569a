"""The web page in a real browser: attack a digit, run an audit, read it, compare two. Nothing leaves the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
    pytest.mark.skipif(find_spec("gradio") is None, reason="needs the extra sparring[web]"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="needs playwright"),
]
WAIT = 60_000
"milliseconds"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    from sparring.web.app import serve

    return serve(tmp_path_factory.mktemp("runs"), block=False)


@pytest.fixture(scope="module")
def asked() -> list[str]:
    """Addresses that the pages asked for."""
    return []


@pytest.fixture(params=[390, 1440])
def page(request: pytest.FixtureRequest, address: str, asked: list[str]) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": request.param, "height": 1000})
        tab.set_default_timeout(WAIT)
        tab.on("request", lambda one: asked.append(one.url))
        tab.goto(address)
        tab.get_by_text("sparring audit").first.wait_for()
        yield tab
        if folder := os.environ.get("SPARRING_SCREENSHOTS"):
            tab.screenshot(path=str(Path(folder) / f"{request.node.name}.png"), full_page=True)
        browser.close()


def open_tab(page: Any, name: str, shows: str) -> None:
    """Click on a tab until `shows` is there (early clicks are lost). On a narrow screen the tab is in a menu."""
    for _ in range(20):
        tab = page.get_by_role("tab", name=name)
        if tab.count() and tab.first.is_visible():
            tab.first.click()
        else:
            page.locator(".overflow-menu > button").first.click()
            page.locator(".overflow-dropdown button").filter(has_text=name).click()
        page.wait_for_timeout(500)
        if page.locator(shows).is_visible():
            return
    raise AssertionError(f"the tab {name!r} does not open")


def test_a_digit_is_attacked(page: Any) -> None:
    page.locator("#start").click()
    page.get_by_text("Fooled:").wait_for()
    assert page.locator("#before").inner_text() != page.locator("#after").inner_text()
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0, "the page is wider than the screen"


def test_a_mistake_is_one_line(page: Any) -> None:
    page.locator("#defense input").fill("jpeg:qualitee=3")
    page.keyboard.press("Enter")
    page.locator("#start").click()
    page.get_by_text("qualitee").last.wait_for()


def test_code_is_not_loaded_without_trust(page: Any, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("raise SystemExit('this ran')")
    page.locator("#model input").fill(f"{tmp_path / 'net.py'}:build")
    page.keyboard.press("Enter")
    page.locator("#start").click()
    page.get_by_text("it runs only if the page was started with --trust").wait_for()


def test_the_form_follows_the_attack(page: Any) -> None:
    page.locator("#attack input").click()
    page.locator("#attack input").fill("square")
    page.get_by_role("option", name="square", exact=True).click()
    page.get_by_label("queries").wait_for()


def test_two_audits_are_run_read_and_compared(page: Any) -> None:
    open_tab(page, "Quick audit", "#audit-start")
    for _ in range(2):
        page.locator("#audit-start").click()
        page.locator("#audit-status").get_by_text("of 50 images unbroken").wait_for()
        page.locator("#audit-status").get_by_text("The run lies in").wait_for()
    frame = page.frame_locator("#audit-report iframe")
    frame.get_by_text("gradient masking").first.wait_for()
    open_tab(page, "Compare", "#compare-start")
    page.locator("#compare-a-again").click()
    for name, k in (("#compare-a", 0), ("#compare-b", 1)):
        page.locator(f"{name} input").click()
        page.get_by_role("option").nth(k).click()
    page.locator("#compare-start").click()
    page.locator("#compare-text").get_by_text("No difference").wait_for()


def test_nothing_was_asked_of_the_network(asked: list[str]) -> None:
    assert len(asked) > 10
    assert {urlparse(url).hostname for url in asked if url.startswith("http")} == {"127.0.0.1"}
