"""A report as JSON, CSV, Markdown and HTML: strict, complete, self-contained."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.audit.inputs.provenance import weights_sha256
from sparring.audit.report.report import Report
from sparring.audit.report.thumbnails import data_uri, triple
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError
from sparring.result import Doubt

KEYS = (
    "clean_accuracy", "robust_accuracy", "attack_success_rate", "verdict", "status", "cause", "doubts", "claims",
    "passes", "cost", "threat", "suite", "seed", "n", "intervals", "attacks", "curve", "samples", "versions", "model",
    "data", "settings", "seconds", "command",
)  # fmt: skip


@pytest.fixture(scope="module")
def net() -> nn.Module:
    """Sixteen grey pixels, three classes, linear: right on the images below."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k, 5 * k : 5 * k + 5] = 1.0
    return net


@pytest.fixture(scope="module")
def report(net: nn.Module) -> Report:
    x = torch.full((12, 1, 4, 4), 0.2)
    y = torch.arange(12) % 3
    for i, k in enumerate(y.tolist()):
        x[i].view(-1)[5 * k : 5 * k + 5] += 0.1 + 0.05 * (i // 3)
    y[-1] = 0  # one that is wrong before any attack
    return sp.audit(
        net, (x, y), sp.Threat("Linf", 0.1), suite=["fgsm", "pgd:steps=5", "square:queries=20"], claims=["fgsm=0.9"]
    )


def test_json_is_strict_and_complete(report: Report, tmp_path: Path) -> None:
    text = report.to_json(tmp_path / "deep" / "report.json")
    assert (tmp_path / "deep" / "report.json").read_text() == text
    plain = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert set(KEYS) <= set(plain)
    assert plain["threat"] == {"norm": "Linf", "eps": 0.1, "box": [0.0, 1.0], "levels": None}
    assert plain["robust_accuracy"] == plain["worst_case_accuracy"] == report.robust_accuracy
    assert (
        plain["intervals"]["robust_accuracy"][0] <= plain["robust_accuracy"] <= plain["intervals"]["robust_accuracy"][1]
    )
    assert plain["passes"] == sum(plain["cost"].values()) > 0
    assert re.fullmatch("[0-9a-f]{64}", plain["model"]["sha256"])
    assert set(plain["versions"]) >= {"sparring", "torch", "python"}
    assert all({"code", "message", "share", "severe", "means", "remedy"} <= set(doubt) for doubt in plain["doubts"])


def test_the_table_of_samples_adds_up(report: Report, tmp_path: Path) -> None:
    with report.to_csv(tmp_path / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == report.n
    count = {status: sum(row["status"] == status for row in rows) for status in ("wrong", "standing", "broken")}
    assert count == {
        "wrong": report.n - report.clean.hits,
        "standing": report.robust.hits,
        "broken": report.success.hits,
    }
    for row in rows:
        assert (row["broken_by"] != "") == (row["status"] == "broken")
        if row["status"] == "broken":
            assert 0 < float(row["distance"]) <= 0.1 * (1 + 1e-5)
            assert row["adversarial_prediction"] != row["label"]
        if row["status"] == "standing":
            assert row["distance"] == ""
            assert float(row["margin"]) <= 0
    assert sum(int(row["queries"]) + int(row["gradients"]) for row in rows) <= report.passes


def test_markdown_starts_with_the_verdict(report: Report) -> None:
    lines = report.to_markdown().splitlines()
    assert lines[2] == f"**{report.verdict}**"
    assert "| claim | reproduced here | survives everything |" in lines


def test_words(report: Report) -> None:
    text = str(report)
    assert text.splitlines()[-1] == report.verdict
    assert f"robust accuracy after pgd:steps=5: {report.attacks[-2].robust.value:.2%}" in text
    assert repr(report) == f"<Report: {report.verdict}>"


class Page(HTMLParser):
    """What a page refers to, its ids, and whether its tags are closed in order."""

    VOID = ("meta", "img", "link", "br", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.without_words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        known = dict(attributes)
        self.tags.append(tag)
        self.links += [known[name] or "" for name in ("src", "href", "xlink:href", "data", "action") if name in known]
        self.ids += [known["id"] or ""] if "id" in known else []
        hidden = known.get("aria-hidden") == "true"
        if (tag == "img" and not known.get("alt")) or (tag == "svg" and not known.get("aria-label") and not hidden):
            self.without_words.append(str(attributes))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def test_the_page_is_whole_and_needs_nothing_else(report: Report, tmp_path: Path) -> None:
    path = report.to_html(tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    assert "script" not in page.tags
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in page.links)
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    assert page.without_words == []
    assert "url(" not in text
    assert "@import" not in text
    assert path.stat().st_size < 3_000_000
    assert re.findall(r"\bnan\b", text) == []
    for words in ("Clean accuracy", "Robust accuracy", "Attack success rate", "Claim and truth", "Glossary"):
        assert words in text


def test_names_cannot_smuggle_markup_into_the_page(report: Report, tmp_path: Path) -> None:
    evil = replace(
        report,
        model={**report.model, "name": "<script>alert(1)</script>"},
        command="'><img src=x>",
        doubts=(Doubt("odd", "<b>bold</b>"),),
    )
    text = evil.to_html(tmp_path / "evil.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "<img src=x" not in text
    assert "<b>bold" not in text


def test_a_page_of_vectors_without_a_curve(net: nn.Module, tmp_path: Path) -> None:
    x, y = torch.rand(6, 16, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 3
    lone = Suite("lone", "", (Stage("FGSM", "fgsm", "single-step"),), curves=())
    report = sp.audit(net, (x, y), sp.Threat("L2", 0.5), suite=lone, clean_floor=0)
    assert report.curve is None
    page = Page(report.to_html(tmp_path / "flat.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert "img" not in page.tags
    assert {"curve", "matrix", "gallery"} & set(page.ids) == set()


def test_what_cannot_be_written_is_one_line(report: Report, tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        report.to_html(tmp_path)
    assert "\n" not in str(error.value)


def test_pictures() -> None:
    assert data_uri(torch.zeros(2, 4, 4)) is None
    assert triple(torch.zeros(16), torch.zeros(16), (0, 1)) is None
    grey, colour = data_uri(torch.rand(1, 4, 4)), data_uri(torch.rand(3, 4, 4))
    assert grey is not None
    assert colour is not None
    assert all(uri.startswith("data:image/png;base64,") for uri in (grey, colour))
    large = data_uri(torch.rand(3, 600, 600))
    assert large is not None
    assert len(large) < 250_000


def test_the_hash_of_the_weights_sees_every_change(net: nn.Module) -> None:
    before = weights_sha256(sp.wrap(net))
    assert before == weights_sha256(sp.wrap(net, mean=0.5, std=0.5))
    with torch.no_grad():
        net[1].weight[0, 0] += 1e-6
    try:
        assert weights_sha256(sp.wrap(net)) != before
    finally:
        with torch.no_grad():
            net[1].weight[0, 0] -= 1e-6
    assert weights_sha256(sp.wrap(lambda x: x)) is None
