"""report.json holds all that the pages need; what is no report is refused in one line."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.audit.cascade.proof import Example
from sparring.audit.report import document as doc
from sparring.audit.report.formats.all import FORMS, save
from sparring.audit.report.html.page import render
from sparring.audit.report.report import Report
from sparring.errors import InputError


def test_every_form_is_the_same_from_the_file(small_report: Report, tmp_path: Path) -> None:
    fresh = small_report.save(tmp_path / "fresh")
    again = save(doc.read(tmp_path / "fresh"), tmp_path / "again")
    assert set(again) == set(fresh) - {"report.json"}
    for name, path in again.items():
        assert path.read_bytes() == fresh[name].read_bytes(), name
    assert doc.read(tmp_path / "fresh" / "report.json") == small_report.to_dict()


def test_a_report_of_a_net_that_nothing_broke_or_that_is_wrong_everywhere(small_report: Report) -> None:
    """No confusion, no distances, no gallery; figures of nothing are no numbers."""
    plain = small_report.to_dict()
    rows = [{**row, "status": "wrong", "broken_by": None, "adversarial_prediction": None} for row in plain["samples"]]
    bare = {
        **plain, "samples": rows, "initially_correct": 0, "standing": 0, "attack_success_rate": None, "confusion": [],
        "survival": [], "gallery": [], "curve": None, "security_curves": None, "classes": [], "worst_class": None,
        "claims": [], "requirements": [], "doubts": [], "strongest_attack_alone": None,
    }  # fmt: skip
    for name, make in FORMS.items():
        text = make(bare)
        assert text, name
        assert re.findall(r"\bnan\b", text) == [], name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no report.json"),
        ("{", "is no JSON"),
        ("[1]", "format is 'list'"),
        ('{"format": "other-1"}', "format is 'other-1', not 'sparring-audit-1'"),
        ('{"format": "sparring-audit-1", "n": 3}', "is damaged: it lacks verdict"),
    ],
)
def test_what_is_no_report(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(InputError) as error:
        doc.read(tmp_path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        doc.read(tmp_path / "nothing.json")


def test_a_page_with_large_noisy_pictures_and_many_images_stays_below_3_mb(small_report: Report) -> None:
    coin = torch.Generator().manual_seed(0)
    pictures = [torch.rand(3, 224, 224, generator=coin) for _ in range(2)]
    examples = tuple(
        Example(k, pictures[0], pictures[1], 0, 0.5, 1, 0.5, "FGSM", 0.05, "smallest" if k < 9 else "typical")
        for k in range(12)
    )
    plain: dict[str, Any] = replace(small_report, examples=examples).to_dict()
    plain["samples"] = [{**plain["samples"][k % 24], "index": k} for k in range(2000)]
    plain["n"] = 2000
    classes = [{**plain["classes"][0], "label": k} for k in range(1000)]
    plain["classes"], plain["data"] = classes, {**plain["data"], "classes": 1000}
    plain["worst_class"] = classes[7]
    text = render(plain)
    assert 1_000_000 < len(text.encode()) < 3_000_000
    assert "the worst 20 of 1000" in text


def test_json_round_trip_keeps_every_number(small_report: Report) -> None:
    plain = small_report.to_dict()
    assert json.loads(doc.json_text(plain)) == plain
