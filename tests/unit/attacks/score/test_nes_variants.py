"""NES where the model says little: what the loss may know, and digits that fall to the likeliest class alone."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.estimators.partial import of_the_top
from sparring.threat import Targeted, Untargeted

LOGITS = torch.tensor([[3.0, 2.0, 1.0, 0.0]]).expand(4, -1)


def test_a_target_has_a_score_only_where_it_is_among_the_top() -> None:
    value = of_the_top(2)(LOGITS, Targeted(torch.arange(4)))
    assert torch.allclose(value[:2], LOGITS.log_softmax(1)[0, :2])
    assert value[2:].tolist() == [-torch.inf, -torch.inf]


def test_untargeted_the_true_class_may_not_be_first_and_unlisted_it_has_what_is_left() -> None:
    value = of_the_top(2)(LOGITS, Untargeted(torch.arange(4)))
    p = LOGITS.softmax(1)[0]
    assert float(value[0]) == -torch.inf
    assert torch.allclose(value[1:], -torch.stack([p[1], p[2] + p[3], p[2] + p[3]]).log())


@pytest.mark.long
@pytest.mark.parametrize(("spec", "queries", "linf"), [("nes-partial", 3000, 0.25), ("nes-labels", 6000, 0.35)])
def test_the_likeliest_class_is_enough_to_come_near(spec: str, queries: int, linf: float) -> None:
    x, y = sp.load_data("mnist5k", n=6).tensors()
    model = sp.load_model("mnist-cnn")
    result = sp.attack(spec)(model, x, y, sp.Threat("Linf"), budget=sp.Budget(queries=queries))
    assert bool(result.success.all())
    assert float(result.distance.median()) <= linf
