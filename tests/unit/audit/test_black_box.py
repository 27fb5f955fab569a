"""Audits of models that say scores or classes: which suite, what the verdict says, and every query counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.audit.api import plan_audit

Images = tuple[Tensor, Tensor]


class Asked:
    """The shipped net as a function, which counts the images that it is shown."""

    def __init__(self, kind: str) -> None:
        self.kind, self.count, self.model = kind, 0, sp.load_model("mnist-cnn")

    def __call__(self, x: Tensor) -> Any:
        self.count += len(x)
        with self.model.guard(), torch.no_grad():
            return self.model.labels(x) if self.kind == "labels" else self.model.logits(x).softmax(1)


@pytest.fixture(scope="module")
def digits() -> Images:
    return sp.load_data("mnist5k", n=12).tensors()


@pytest.mark.long
@pytest.mark.parametrize(("kind", "saw"), [("labels", "the predicted class alone"), ("scores", "scores, and no")])
def test_the_verdict_says_what_was_seen_and_each_query_is_counted(kind: Any, saw: str, digits: Images) -> None:
    asked = Asked(kind)
    model = sp.wrap_callable(asked, 10, kind)
    report = sp.audit(model, digits, ("Linf", 0.2), suite=["rays:queries=60"])
    assert f"The attacker saw {saw}" in report.verdict
    assert f"The attacks took {report.cost['attacks']:,} queries" in report.verdict
    assert sum(report.cost.values()) == asked.count
    assert "piecewise-constant" not in [doubt.code for doubt in report.doubts]
    assert report.status == "no-claim"


def test_without_gradients_the_default_suite_is_the_black_box_one(digits: Images) -> None:
    for model in (sp.wrap_callable(Asked("labels"), 10, "labels"), sp.wrap(Asked("scores"), access="score")):
        assert plan_audit(model, digits, ("Linf", 0.2)).suite.name == "black-box"
        assert plan_audit(model, digits, ("Linf", 0.2), suite="black-box").suite.name == "black-box"
        assert plan_audit(sp.load_model("mnist-cnn"), digits, ("Linf", 0.2)).suite.name == "standard"


def test_gradients_are_not_spoken_of_where_there_are_some(digits: Images) -> None:
    report = sp.audit(sp.load_model("mnist-cnn"), digits, ("Linf", 0.2), suite=["fgsm"])
    assert "The attacker saw" not in report.verdict
